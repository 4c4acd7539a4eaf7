//! Why an answer ended: Anthropic's words and the neutral ones.
//!
//! Source: Anthropic API reference, "Handling stop reasons", 2026-11-23.

use crate::event::FinishReason;

/// The neutral reason. `sequence` is the `stop_sequence` beside it.
pub(super) fn reason(stop_reason: &str, sequence: Option<&str>) -> FinishReason {
    match stop_reason {
        // A paused turn waits for nothing from the client: its content goes back as it is.
        "end_turn" | "pause_turn" => FinishReason::Stop,
        "stop_sequence" => sequence.map_or(FinishReason::Stop, |sequence| {
            FinishReason::StopSequence(sequence.to_owned())
        }),
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.to_owned()),
    }
}
