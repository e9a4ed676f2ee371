//! What the access log says of a request.

/// The decision about a request, by its name in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All limits that are for it let it pass.
    Allowed,
    /// It passes, but a limit that refuses nothing would have refused it.
    ShadowRefused,
    /// A limit refuses it.
    Refused,
    /// It is exempt from all limits.
    Exempt,
    /// Nothing could be said about it.
    Error,
}

impl Outcome {
    /// That of a request that passes; `shadowed` where a limit would have refused it.
    pub(crate) fn passed(shadowed: bool) -> Self {
        if shadowed {
            Outcome::ShadowRefused
        } else {
            Outcome::Allowed
        }
    }

    /// Its name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::ShadowRefused => "shadow_refused",
            Outcome::Refused => "refused",
            Outcome::Exempt => "exempt",
            Outcome::Error => "error",
        }
    }
}
