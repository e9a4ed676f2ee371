//! The status of refusals, which Envoy's configuration may call by its name.

use super::Converted;
use crate::document::Node;

/// The statuses of errors in `envoy.type.v3.StatusCode`.
const STATUSES: [(&str, u64); 37] = [
    ("BadRequest", 400),
    ("Unauthorized", 401),
    ("PaymentRequired", 402),
    ("Forbidden", 403),
    ("NotFound", 404),
    ("MethodNotAllowed", 405),
    ("NotAcceptable", 406),
    ("ProxyAuthenticationRequired", 407),
    ("RequestTimeout", 408),
    ("Conflict", 409),
    ("Gone", 410),
    ("LengthRequired", 411),
    ("PreconditionFailed", 412),
    ("PayloadTooLarge", 413),
    ("URITooLong", 414),
    ("UnsupportedMediaType", 415),
    ("RangeNotSatisfiable", 416),
    ("ExpectationFailed", 417),
    ("MisdirectedRequest", 421),
    ("UnprocessableEntity", 422),
    ("Locked", 423),
    ("FailedDependency", 424),
    ("UpgradeRequired", 426),
    ("PreconditionRequired", 428),
    ("TooManyRequests", 429),
    ("RequestHeaderFieldsTooLarge", 431),
    ("InternalServerError", 500),
    ("NotImplemented", 501),
    ("BadGateway", 502),
    ("ServiceUnavailable", 503),
    ("GatewayTimeout", 504),
    ("HTTPVersionNotSupported", 505),
    ("VariantAlsoNegotiates", 506),
    ("InsufficientStorage", 507),
    ("LoopDetected", 508),
    ("NotExtended", 510),
    ("NetworkAuthenticationRequired", 511),
];

/// The status that a filter answers with, where it is set. Envoy itself says 429 instead of one that is none of an error.
pub(super) fn status(node: &Node, prefix: &str, converted: &mut Converted) -> Option<u64> {
    let code = node.find(&["status", "code"])?;
    let known = code
        .word(&STATUSES)
        .filter(|status| (400..=599).contains(status));
    if known.is_none() {
        converted.remark(format!(
            "{prefix}: its status {} is none of an error, and is taken for 429",
            code.json()
        ));
    }
    Some(known.unwrap_or(429))
}
