//! Numbers by exception class: `retry_policy` and `allowed_fails_policy` (contract, routing §3 and §4).

/// The exceptions of LiteLLM that a policy can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// `BadRequestError`, prompts that are too long among them.
    BadRequest,
    /// `AuthenticationError`.
    Authentication,
    /// `TimeoutError`.
    Timeout,
    /// `RateLimitError`.
    RateLimit,
    /// `ContentPolicyViolationError`.
    ContentPolicy,
    /// `InternalServerError`; here also no connection, a broken answer, a cut stream.
    InternalServer,
}

/// A number for some classes: retries, or failures that are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByClass {
    /// `BadRequestError…`.
    pub bad_request: Option<u32>,
    /// `AuthenticationError…`.
    pub authentication: Option<u32>,
    /// `TimeoutError…`.
    pub timeout: Option<u32>,
    /// `RateLimitError…`.
    pub rate_limit: Option<u32>,
    /// `ContentPolicyViolationError…`.
    pub content_policy: Option<u32>,
    /// `InternalServerError…`.
    pub internal_server: Option<u32>,
}

// === impl ByClass ===

impl ByClass {
    /// The number for that class, if the policy names it.
    pub fn get(&self, class: ErrorClass) -> Option<u32> {
        match class {
            ErrorClass::BadRequest => self.bad_request,
            ErrorClass::Authentication => self.authentication,
            ErrorClass::Timeout => self.timeout,
            ErrorClass::RateLimit => self.rate_limit,
            ErrorClass::ContentPolicy => self.content_policy,
            ErrorClass::InternalServer => self.internal_server,
        }
    }

    /// It names nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
