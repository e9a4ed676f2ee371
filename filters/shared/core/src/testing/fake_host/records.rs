//! What a filter has sent.

/// A reply that the filter sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentReply {
    /// The HTTP status.
    pub status: u32,
    /// The fields given by the filter.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The gRPC status, where given.
    pub grpc_status: Option<u32>,
    /// The word for the access log.
    pub details: String,
}

impl SentReply {
    /// The first value of a field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(field, _)| field == name)?;
        std::str::from_utf8(&found.1).ok()
    }
}

/// A callout that the filter started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its token.
    pub token: u32,
    /// The cluster.
    pub cluster: String,
    /// Request fields of an HTTP call; `service/method` of a gRPC call.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body or message.
    pub body: Vec<u8>,
}
