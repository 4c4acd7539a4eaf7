//! Changes one stored setting: what it is to hold is made from what it holds, and made again where somebody else was quicker.

use actix_web::ResponseError as _;
use actix_web::http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{from_value, to_value};
use trunkline_actors::clock::UnixMs;

use super::models::stored_and_served;
use crate::auth::Identity;
use crate::http::error::{ApiError, Code};
use crate::http::extract::Call;
use crate::storage::{AsRead, SettingRow, Write};

/// How often it is made. Each time that it is not stored, somebody else's change was.
const TRIES: usize = 20;

/// Changes the setting, and has requests go by it. `make` may be asked several times.
///
/// # Errors
/// Those of `make`; 409 for a setting that others change all the time; the store's.
pub(super) async fn change<T, R>(
    call: &Call,
    identity: &Identity,
    name: &'static str,
    make: impl Fn(&mut T) -> Result<R, ApiError>,
) -> Result<R, ApiError>
where
    T: DeserializeOwned + Serialize + Default,
{
    let mut tried = 0;
    loop {
        let rows = call.app().store.settings.all().await?;
        let stored = rows.into_iter().find(|row| row.name == name);
        let (value, as_read, before) = match stored {
            Some(row) => (Some(row.value), row.as_read, row.updated_at.0),
            None => (None, AsRead::default(), 0),
        };
        // What cannot be read does not count either, and is written over.
        let mut value: T = value
            .and_then(|value| from_value(value).ok())
            .unwrap_or_default();
        let told = make(&mut value)?;
        let value = to_value(value).map_err(|err| {
            ApiError::new(
                Code::Internal,
                format!("The setting cannot be stored: {err}"),
            )
        })?;
        let row = SettingRow {
            name: name.to_owned(),
            value,
            // Two changes are told apart by it.
            updated_at: UnixMs(UnixMs::now().0.max(before.saturating_add(1))),
            updated_by: identity.user_name().map(str::to_owned),
            as_read,
        };
        tried += 1;
        match stored_and_served(call, identity, Write::PutSetting(Box::new(row))).await {
            Err(err) if err.status_code() == StatusCode::CONFLICT && tried < TRIES => {}
            done => return done.map(|()| told),
        }
    }
}
