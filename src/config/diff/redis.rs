//! Where replicas meet, as facts.

use super::facts::{Facts, Subject, shown};
use crate::config::redis::{RedisPlace, RedisSettings};

impl Facts {
    pub(super) fn redis(&mut self, gateway: &Subject, redis: Option<&RedisSettings>) {
        let Some(redis) = redis else { return };
        let tls = &redis.tls;
        let certificate = tls.own.as_ref().map(|(certificate, _)| certificate);
        let key = tls.own.as_ref().map(|(_, key)| key);
        self.say(gateway, "redis", Some(&redis.shown));
        self.say_secret(gateway, "redis_url", Some(&redis.url));
        if let RedisPlace::Sentinels {
            username, password, ..
        } = &redis.place
        {
            self.say(gateway, "redis_sentinel_username", username.as_ref());
            self.say_secret(gateway, "redis_sentinel_password", password.as_ref());
        }
        for (name, path) in [
            ("redis_ssl_ca_certs", tls.authorities.as_ref()),
            ("redis_ssl_certfile", certificate),
            ("redis_ssl_keyfile", key),
        ] {
            self.say(gateway, name, path.map(|path| path.display()));
        }
        self.say(gateway, "fleet namespace", Some(&redis.namespace));
        self.say(gateway, "fleet deadline_secs", Some(shown(redis.deadline)));
    }
}
