//! Who a server is. Chains lead to an authority as always; and a server may present a certificate that was itself named as trusted, even one that calls
//! itself an authority's (`openssl req -x509` makes such). So do Go (crypto/x509, `Certificate.Verify`: a certificate that is among the roots is
//! a chain of its own) and curl (`X509_V_FLAG_PARTIAL_CHAIN`). That the server has the key is proven by the handshake in either case.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::certificate::Certificate;

#[derive(Debug)]
pub(super) struct Verifier {
    /// Made when a server shows a certificate: reading a machine's hundreds of authorities takes longer than many a transfer, and where there is no
    /// TLS there need not be any.
    chains: OnceLock<rustls_platform_verifier::Verifier>,
    named: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Trusts the machine's authorities, and what is named here.
    pub(super) fn new(named: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Self {
        Self { chains: OnceLock::new(), named, provider }
    }

    fn chains(&self) -> Result<&rustls_platform_verifier::Verifier, Error> {
        if let Some(chains) = self.chains.get() {
            return Ok(chains);
        }
        let made = rustls_platform_verifier::Verifier::new_with_extra_roots(self.named.iter().cloned(), self.provider.clone())?;
        Ok(self.chains.get_or_init(|| made))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        presented: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let refused = match self.chains()?.verify_server_cert(presented, intermediates, server, ocsp, now) {
            Ok(verified) => return Ok(verified),
            Err(refused) => refused,
        };
        if !self.named.iter().any(|named| named.as_ref() == presented.as_ref()) {
            return Err(refused);
        }
        Certificate::parse(presented).map_err(|_| CertificateError::BadEncoding)?.serves(now)?;
        verify_server_name(&ParsedCertificate::try_from(presented)?, server)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, message: &[u8], presented: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, presented, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(&self, message: &[u8], presented: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, presented, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::client::certificates, *};

    /// Made by `openssl req -x509` 3.0: authorities by their own word, for self.dev and 10.1.2.3. `client` is for clients only.
    const SELF: &str = include_str!("../../tests/fixtures/tls/self.pem");
    const OTHER: &str = include_str!("../../tests/fixtures/tls/other.pem");
    const CLIENT: &str = include_str!("../../tests/fixtures/tls/client.pem");
    const SHORT: &str = include_str!("../../tests/fixtures/tls/short.pem");
    /// 2026-12-01, and before and after what the certificates say of themselves.
    const NOW: u64 = 1_796_083_200;
    const BEFORE: u64 = 1_795_000_000;
    const AFTER: u64 = 1_800_000_000;
    const LONG_AFTER: u64 = 4_950_000_000;

    fn certificate(pem: &str) -> CertificateDer<'static> {
        certificates(pem.as_bytes()).unwrap().remove(0)
    }

    fn verify(named: &str, presented: &str, server: &str, now: u64) -> Result<(), Error> {
        let verifier = Verifier::new(vec![certificate(named)], Arc::new(rustls::crypto::ring::default_provider()));
        let (server, now) = (ServerName::try_from(server).unwrap(), UnixTime::since_unix_epoch(Duration::from_secs(now)));
        verifier.verify_server_cert(&certificate(presented), &[], &server, &[], now).map(|_| ())
    }

    #[test]
    fn a_certificate_that_is_named_itself_counts() {
        for (pem, server, now) in
            [(SELF, "self.dev", NOW), (SELF, "10.1.2.3", NOW), (SELF, "self.dev", AFTER), (OTHER, "self.dev", NOW), (SHORT, "self.dev", NOW)]
        {
            verify(pem, pem, server, now).unwrap_or_else(|error| panic!("{server} at {now}: {error}\n{pem}"));
        }
    }

    /// Its name, its time and its purpose count as those of any other.
    #[test]
    fn it_counts_for_nothing_but_what_it_says() {
        use CertificateError as E;
        let refused = |named, presented, server, now| match verify(named, presented, server, now).unwrap_err() {
            Error::InvalidCertificate(error) => error,
            error => panic!("{error}"),
        };
        assert!(matches!(refused(SELF, SELF, "other.dev", NOW), E::NotValidForName | E::NotValidForNameContext { .. }));
        assert!(matches!(refused(SELF, SELF, "10.1.2.4", NOW), E::NotValidForName | E::NotValidForNameContext { .. }));
        assert!(matches!(refused(SELF, SELF, "self.dev", BEFORE), E::NotValidYet));
        assert!(matches!(refused(SELF, SELF, "self.dev", LONG_AFTER), E::Expired));
        assert!(matches!(refused(SHORT, SHORT, "self.dev", AFTER), E::Expired));
        assert!(matches!(refused(CLIENT, CLIENT, "self.dev", NOW), E::InvalidPurpose));
        // Another one of the same name.
        for (named, presented) in [(SELF, OTHER), (OTHER, SELF), (SELF, SHORT)] {
            refused(named, presented, "self.dev", NOW);
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_read() {
        let der = certificate(SELF).to_vec();
        assert!(Certificate::parse(&der).is_ok());
        for end in (0..der.len()).step_by(7) {
            assert!(Certificate::parse(&der[..end]).is_err(), "{end}");
        }
    }
}
