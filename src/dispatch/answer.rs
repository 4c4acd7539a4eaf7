//! Whole answers: settled before the client gets the first byte.

use log::error;
use trunkline_actors::deployment::Outcome;
use trunkline_wire::usage::Usage;

use super::attempt::{Answer, Journey};
use super::error::DispatchError;
use super::{Reply, headers};

impl Journey {
    /// Fetches a whole answer, settles it and hands it over.
    pub(super) async fn fetch(mut self: Box<Self>) -> Result<Reply, DispatchError> {
        let mut arrived = self.first_answer().await?;
        let Answer::Whole(decoded) = &arrived.answer else {
            self.settlement.fail(500, "internal");
            return Err(DispatchError::Internal(
                "a whole answer was asked for and a stream came",
            ));
        };
        let now = self.dispatcher.shared.clock.now();
        let outcome = Outcome::Success {
            total: arrived.began.elapsed(),
            first_content: None,
            completion_tokens: decoded.usage.as_ref().map_or(0, Usage::completion_tokens),
            total_tokens: decoded.usage.as_ref().map_or(0, Usage::total_tokens),
        };
        self.settlement
            .provider_request_id(decoded.response_id.clone());
        self.settlement.delivered(decoded.output_bytes);
        self.settlement.answered(&decoded.body);
        let withheld = |err| {
            error!(err:% = err; "an answer is withheld because it cannot be written to the journal");
            DispatchError::JournalFull
        };
        let settled = self.settlement.complete(decoded.usage.as_ref());
        let settled = settled.map_err(withheld)?;
        self.settlement.synced().await.map_err(withheld)?;
        let body = decoded.body.clone();
        let headers = headers::of_answer(&self, &mut arrived, settled.as_ref());
        arrived.attempt.report(outcome, now);
        Ok(Reply::Whole { headers, body })
    }
}
