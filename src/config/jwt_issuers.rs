//! `litellm_jwtauth.issuers`: identity providers with keys, audience and claims of their own.
//!
//! ```yaml
//! issuers:
//!   - {issuer: "https://idp.example", audience: gateway, team_ids_jwt_field: groups}
//!   - {issuer: ci, jwks_url: "https://ci.example/keys", audience: [a, b], user_id_jwt_field: job.owner}
//! ```

use std::ops::Range;

use url::Url;

use super::error::NoticeKind;
use super::jwt::{ClaimNames, JwtSettings, web_address};
use super::raw::RawIssuer;
use super::report::Report;
use super::yaml::KeyPath;

/// Where an issuer tells where its keys are. Source: `OpenID` Connect Discovery 1.0, section 4.
const DISCOVERY: &str = ".well-known/openid-configuration";

/// An issuer whose tokens have rules of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIssuer {
    /// What its tokens have in `iss`, to the letter.
    pub issuer: String,
    /// Where its keys are: no other one's tokens may be signed with them, nor its with others.
    pub keys_at: Url,
    /// Its tokens must be for one of these; none: for anybody.
    pub audiences: Vec<String>,
    /// Which of its claims say what.
    pub claims: ClaimNames,
}

/// What a token is checked and read by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules<'s> {
    /// The places of [`JwtSettings::all_keys_at`] whose keys may have signed it.
    pub keys: Range<usize>,
    /// Its issuer, where it must be of one.
    pub issuer: Option<&'s str>,
    /// Whom it may be for; none: anybody.
    pub audiences: &'s [String],
    /// What its claims say.
    pub claims: &'s ClaimNames,
}

// === impl JwtSettings ===

impl JwtSettings {
    /// Where all keys are: those of nobody in particular, then each issuer's.
    pub fn all_keys_at(&self) -> impl Iterator<Item = &Url> {
        let own = self.issuers.iter().map(|issuer| &issuer.keys_at);
        self.keys_at.iter().chain(own)
    }

    /// The rules for tokens that say they are of that issuer.
    pub fn rules(&self, issuer: Option<&str>) -> TokenRules<'_> {
        let shared = self.keys_at.len();
        let mut own = self.issuers.iter().enumerate();
        match own.find(|(_, own)| Some(own.issuer.as_str()) == issuer) {
            Some((at, own)) => TokenRules {
                keys: shared + at..shared + at + 1,
                issuer: Some(&own.issuer),
                audiences: &own.audiences,
                claims: &own.claims,
            },
            None => TokenRules {
                keys: 0..shared,
                issuer: self.issuer.as_deref(),
                audiences: &self.audiences,
                claims: &self.claims,
            },
        }
    }
}

/// Reads the list. `claims` are those of issuers that say nothing else.
pub(super) fn issuers(
    said: &[RawIssuer],
    claims: &ClaimNames,
    here: &KeyPath,
    report: &mut Report<'_>,
) -> Vec<TokenIssuer> {
    let list = here.key("issuers");
    let mut read: Vec<TokenIssuer> = Vec::with_capacity(said.len());
    for (at, one) in said.iter().enumerate() {
        let here = list.index(at);
        for key in one.others.keys() {
            let message = "has no effect in an issuer; it can have issuer, jwks_url, audience, disable_audience_validation and the \
                           claims of user_id, user_email, team_id, team_ids, org_id and end_user_id";
            report.notice(NoticeKind::UnknownKey, &here.key(key), message.to_owned());
        }
        let issuer = issuer(one, &here, report);
        let keys_at = keys_at(one, &here, report);
        let audiences = audiences(one, &here, report);
        let Some((issuer, keys_at)) = issuer.zip(keys_at) else {
            continue;
        };
        if read.iter().any(|other| other.issuer == issuer) {
            let what = "is the issuer of an entry before";
            report.problem(&here.key("issuer"), what, "write each issuer once");
            continue;
        }
        let own = |field: &Option<String>, usual: &Option<String>| field.clone().or(usual.clone());
        read.push(TokenIssuer {
            issuer,
            keys_at,
            audiences,
            claims: ClaimNames {
                user: own(&one.user_id_jwt_field, &claims.user),
                email: own(&one.user_email_jwt_field, &claims.email),
                team: own(&one.team_id_jwt_field, &claims.team),
                teams: own(&one.team_ids_jwt_field, &claims.teams),
                organisation: own(&one.org_id_jwt_field, &claims.organisation),
                customer: own(&one.end_user_id_jwt_field, &claims.customer),
                ..claims.clone()
            },
        });
    }
    read
}

fn issuer(one: &RawIssuer, here: &KeyPath, report: &mut Report<'_>) -> Option<String> {
    let issuer = one.issuer.clone().filter(|issuer| !issuer.is_empty());
    if issuer.is_none() {
        let fix = "write what its tokens have in `iss`, to the letter";
        report.problem(&here.key("issuer"), "is missing", fix);
    }
    issuer
}

/// Where its keys are said to be, else where the issuer's name leads to.
fn keys_at(one: &RawIssuer, here: &KeyPath, report: &mut Report<'_>) -> Option<Url> {
    let found = match (&one.jwks_url, &one.issuer) {
        (Some(said), _) => web_address(said),
        (None, Some(issuer)) => {
            let issuer = issuer.trim_end_matches('/');
            web_address(&format!("{issuer}/{DISCOVERY}"))
        }
        // The missing issuer is told already.
        (None, None) => return None,
    };
    if found.is_none() {
        let fix = "write the address of its key set, or of its OpenID discovery document";
        let what = match one.jwks_url {
            Some(_) => "is no address",
            None => "is missing, and the issuer is no address where a discovery document can be",
        };
        report.problem(&here.key("jwks_url"), what, fix);
    }
    found
}

fn audiences(one: &RawIssuer, here: &KeyPath, report: &mut Report<'_>) -> Vec<String> {
    let said = one.audience.0.clone();
    let is_open = one.disable_audience_validation.unwrap_or(false);
    let problem = match (said.is_empty(), is_open) {
        (true, false) => Some((
            "is missing: every token of that issuer would be let in, whomever it is for",
            "write whom its tokens are for, or disable_audience_validation: true",
        )),
        (false, true) => Some((
            "is checked by nobody with disable_audience_validation: true",
            "remove one of the two",
        )),
        _ => None,
    };
    if let Some((what, fix)) = problem {
        report.problem(&here.key("audience"), what, fix);
    }
    said
}
