//! Whose identity is taken over.

seawall_core::words! {
    /// From whom an inbound identity is accepted.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum Mode {
        /// From everybody.
        #[default]
        Always = "always",
        /// From nobody: the edge of a network.
        Never = "never",
        /// From connections of some networks.
        Cidr = "cidr",
        /// From connections with a client certificate.
        Mtls = "mtls",
    }
}
