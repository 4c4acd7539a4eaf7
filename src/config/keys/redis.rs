//! `general_settings.coordination_redis`.

use super::Area::Fleet;
use super::Kind::{Any, Path, Secret, Switch, Text, Whole};
use super::{Others, Section, on, planned};

pub(super) const COORDINATION_REDIS: Section = Section {
    path: "general_settings.coordination_redis",
    others: Others::Unknown,
    keys: &[
        on(
            "url",
            Secret,
            "",
            "as `router_settings.redis_url`; so the next ones",
        ),
        on("host", Text, "", ""),
        on("port", Whole, "6379", ""),
        on("username", Text, "", ""),
        on("password", Secret, "", ""),
        on("db", Whole, "0", ""),
        on("ssl", Switch, "false", ""),
        on("ssl_ca_certs", Path, "", ""),
        on("ssl_certfile", Path, "", ""),
        on("ssl_keyfile", Path, "", ""),
        on("ssl_cert_reqs", Text, "`required`", ""),
        on("startup_nodes", Any, "", ""),
        on("sentinel_nodes", Any, "", ""),
        on("service_name", Text, "", ""),
        on("sentinel_username", Text, "", ""),
        on("sentinel_password", Secret, "", ""),
        planned(Fleet, "aws_iam_*", Any, "", "sign-in by Amazon's IAM"),
    ],
};
