//! `mock_testing_*` of a body: the requested group is to fail, so that its fallbacks can be seen at work.
//!
//! Source: contract, `routing` §5. Read only where the config allows it
//! (`dangerously_allow_mock_testing_request_params`), so other requests are not parsed a second time.

use bytes::Bytes;
use trunkline_actors::deployment::FailureKind;
use trunkline_actors::ids::ModelGroup;
use trunkline_wire::error::{UpstreamError, UpstreamErrorKind};
use trunkline_wire::json::{Object, Splice};

use super::error::UpstreamFailure;
use super::{Inbound, Shared};

/// The first that is true counts.
const FLAGS: [(&str, FailureKind); 4] = [
    ("mock_testing_fallbacks", FailureKind::Server),
    ("mock_testing_context_fallbacks", FailureKind::ContextWindow),
    (
        "mock_testing_content_policy_fallbacks",
        FailureKind::ContentPolicy,
    ),
    ("mock_testing_rate_limit_error", FailureKind::RateLimited),
];

/// The failure that a request asks for, where it may; its body is then without the flags, which are for the gateway.
pub(super) fn take(shared: &Shared, inbound: &mut Inbound) -> Option<FailureKind> {
    if !shared.allow_mock_testing {
        return None;
    }
    let (body, kind) = read(&inbound.body)?;
    inbound.body = body;
    Some(kind)
}

fn read(body: &Bytes) -> Option<(Bytes, FailureKind)> {
    let object = Object::parse(body).ok()?;
    let is_set = |flag: &str| object.get(flag).is_some_and(|value| value.get() == "true");
    let (_, kind) = FLAGS.into_iter().find(|(flag, _)| is_set(flag))?;
    let mut rest = Splice::new(&object);
    for (flag, _) in FLAGS {
        rest.remove(flag);
    }
    Some((rest.finish(), kind))
}

/// What the client is told when no fallback answered.
pub(super) fn failure(group: &ModelGroup, kind: FailureKind) -> UpstreamFailure {
    let kind = match kind {
        FailureKind::ContextWindow => UpstreamErrorKind::ContextWindow,
        FailureKind::ContentPolicy => UpstreamErrorKind::ContentPolicy,
        FailureKind::RateLimited => UpstreamErrorKind::RateLimited,
        _ => UpstreamErrorKind::Server,
    };
    let error = UpstreamError::new(kind, None, "");
    UpstreamFailure {
        message: format!(
            "litellm.{}: This is a mock exception for model={group}, to trigger a fallback. No fallback answered.",
            kind.litellm_class()
        ),
        status: error.client_status(),
        kind: error.client_type().to_owned(),
        param: None,
        headers: Vec::new(),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_leave_the_body() {
        let body = Bytes::from_static(
            br#"{"model":"m","mock_testing_context_fallbacks":true,"mock_testing_fallbacks":false}"#,
        );
        let (rest, kind) = read(&body).unwrap();
        assert_eq!(kind, FailureKind::ContextWindow);
        assert_eq!(rest, r#"{"model":"m"}"#);
        assert!(read(&Bytes::from_static(br#"{"mock_testing_fallbacks":false}"#)).is_none());
    }
}
