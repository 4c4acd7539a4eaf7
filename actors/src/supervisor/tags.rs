//! Tag routing: which deployments of a group a request with certain tags may use.
//!
//! Source: contract, routing §7. One thing is stricter than in LiteLLM: deployments that cool down still count as
//! matching, so that a pause never sends tagged requests to the default deployments.

use std::sync::Arc;

use super::lineup::Lineup;

/// The tag of deployments for requests that no tag fits.
const DEFAULT: &str = "default";

/// Whether and how tags decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagRules {
    /// `enable_tag_filtering`.
    pub enabled: bool,
    /// `tag_filtering_match_any`: one tag in common is enough; else all of the request's.
    pub match_any: bool,
}

// === impl TagRules ===

impl Default for TagRules {
    fn default() -> Self {
        Self {
            enabled: false,
            match_any: true,
        }
    }
}

impl TagRules {
    /// Those that may answer; none when the tags admit nobody.
    pub(super) fn admitted(self, candidates: &Arc<Lineup>, asked: &[String]) -> Arc<Lineup> {
        if !self.enabled {
            return Arc::clone(candidates);
        }
        let admitted = |fits: &dyn Fn(&[String]) -> bool| -> Arc<Lineup> {
            let candidates = candidates.iter();
            let fitting = candidates.filter(|candidate| fits(&candidate.member.spec.tags));
            Arc::new(fitting.cloned().collect())
        };
        let is_default = |tags: &[String]| has(tags, DEFAULT);
        if asked.is_empty() {
            let default = admitted(&is_default);
            return if default.is_empty() {
                Arc::clone(candidates)
            } else {
                default
            };
        }
        let fitting = admitted(&|tags| self.fits(tags, asked));
        if !fitting.is_empty() {
            return fitting;
        }
        admitted(&|tags| is_default(tags) && !excluded(tags, asked))
    }

    /// `!x` excludes and `&x` requires, whatever the other tags say.
    fn fits(self, tags: &[String], asked: &[String]) -> bool {
        let required = asked.iter().filter_map(|tag| tag.strip_prefix('&'));
        let mut plain = asked
            .iter()
            .filter(|tag| !tag.starts_with(['!', '&']))
            .peekable();
        let plain_fit = if self.match_any {
            plain.peek().is_none() || plain.any(|tag| has(tags, tag))
        } else {
            plain.all(|tag| has(tags, tag))
        };
        plain_fit && !excluded(tags, asked) && required.into_iter().all(|tag| has(tags, tag))
    }
}

fn excluded(tags: &[String], asked: &[String]) -> bool {
    let mut excluding = asked.iter().filter_map(|tag| tag.strip_prefix('!'));
    excluding.any(|tag| has(tags, tag))
}

fn has(tags: &[String], tag: &str) -> bool {
    tags.iter().any(|known| known == tag)
}
