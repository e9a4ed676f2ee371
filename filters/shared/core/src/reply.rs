//! A local reply: an answer that the filter gives itself.

/// An answer from the filter. Fields are added to those the host sets itself.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// The HTTP status. For gRPC requests the host turns the reply into a trailers-only one by itself.
    pub status: u32,
    /// Header fields, names in lower case.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body; may be empty.
    pub body: &'a [u8],
    /// The gRPC status for a gRPC caller; `None` lets the host derive it from the HTTP status.
    pub grpc_status: Option<u32>,
    /// A word for `%RESPONSE_CODE_DETAILS%`; without spaces.
    pub details: &'a str,
}
