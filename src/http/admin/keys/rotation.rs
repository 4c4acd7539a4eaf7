//! Keys that are to be regenerated regularly: `auto_rotate` and `rotation_interval`. Contract: `endpoints` §3.1.
//!
//! ```json
//! {"auto_rotate": true, "rotation_interval": "90d"}
//! {"auto_rotate": true, "rotation_interval": "90d", "rotation_count": 3, "last_rotation_at": "…", "key_rotation_at": "…"}
//! ```
//!
//! `key_rotation_at` is a date that holders and operators are told of ([`crate::rotation`]). No secret is replaced by itself: the
//! new one would be known to nobody.

use trunkline_actors::clock::UnixMs;

use super::super::fields::{Change, Fields};
use crate::auth::expiry;
use crate::auth::terms::period;
use crate::http::error::{ApiError, Code};
use crate::storage::Rotation;

/// The members of a body that are read here.
pub(super) const AUTO_ROTATE: &str = "auto_rotate";
/// How long one secret is to be used.
pub(super) const INTERVAL: &str = "rotation_interval";

/// Changes when a key is to get another secret, as the body says.
pub(super) fn change(
    fields: &Fields,
    rotation: &mut Rotation,
    now: UnixMs,
) -> Result<(), ApiError> {
    let interval = fields.text(INTERVAL)?;
    let interval = interval.try_map(|text| period(INTERVAL, &text).map(|_| text))?;
    let is_wanted = match fields.get(AUTO_ROTATE, "true or false")? {
        Change::Keep => rotation.due_at.is_some(),
        Change::Clear => false,
        Change::Set(wanted) => wanted,
    };
    let begins_anew = rotation.due_at.is_none() || matches!(interval, Change::Set(_));
    interval.apply(&mut rotation.interval);
    if !is_wanted {
        rotation.due_at = None;
    } else if begins_anew || rotation.interval.is_none() {
        rotation.due_at = Some(due(rotation, now)?);
    }
    Ok(())
}

/// The key got another secret.
pub(super) fn replaced(rotation: &mut Rotation, now: UnixMs) -> Result<(), ApiError> {
    rotation.count = rotation.count.saturating_add(1);
    rotation.last_at = Some(now);
    if rotation.due_at.is_some() {
        rotation.due_at = Some(due(rotation, now)?);
    }
    Ok(())
}

fn due(rotation: &Rotation, now: UnixMs) -> Result<UnixMs, ApiError> {
    match &rotation.interval {
        Some(interval) => Ok(expiry(INTERVAL, interval, now)?),
        None => Err(ApiError::new(
            Code::BadRequest,
            "'auto_rotate' needs 'rotation_interval': say how long one secret is to be used, such as 90d.",
        )
        .param(INTERVAL)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const DAY: u64 = 86_400_000;

    fn changed(rotation: &Rotation, body: &Value, day: u64) -> Result<Rotation, ApiError> {
        let fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        let mut rotation = rotation.clone();
        change(&fields, &mut rotation, UnixMs(day * DAY)).map(|()| rotation)
    }

    #[test]
    fn a_key_is_due_an_interval_after_it_was_asked_for_or_replaced() {
        let none = Rotation::default();
        let kept = changed(&none, &json!({"rotation_interval": "9d"}), 1).unwrap();
        assert_eq!((kept.due_at, kept.interval.as_deref()), (None, Some("9d")));
        let wanted = changed(&kept, &json!({"auto_rotate": true}), 2).unwrap();
        assert_eq!(wanted.due_at, Some(UnixMs(11 * DAY)));
        let untouched = changed(&wanted, &json!({"auto_rotate": true}), 3).unwrap();
        assert_eq!(untouched, wanted, "saying it again puts nothing off");
        let sooner = changed(&wanted, &json!({"rotation_interval": "1d"}), 3).unwrap();
        assert_eq!(sooner.due_at, Some(UnixMs(4 * DAY)));
        let mut replaced = sooner.clone();
        super::replaced(&mut replaced, UnixMs(4 * DAY)).unwrap();
        let want = Rotation {
            interval: Some("1d".to_owned()),
            due_at: Some(UnixMs(5 * DAY)),
            count: 1,
            last_at: Some(UnixMs(4 * DAY)),
        };
        assert_eq!(replaced, want);
        let ended = changed(&replaced, &json!({"auto_rotate": false}), 5).unwrap();
        assert_eq!((ended.due_at, ended.count), (None, 1));
    }

    #[test]
    fn a_rotation_without_a_readable_interval_is_refused() {
        let none = Rotation::default();
        let wanted = changed(
            &none,
            &json!({"auto_rotate": true, "rotation_interval": "9d"}),
            1,
        );
        let wanted = wanted.unwrap();
        for (before, body) in [
            (&none, json!({"auto_rotate": true})),
            (&none, json!({"auto_rotate": "yes"})),
            (&none, json!({"rotation_interval": "soon"})),
            (&wanted, json!({"rotation_interval": null})),
        ] {
            assert!(changed(before, &body, 1).is_err(), "{body}");
        }
    }
}
