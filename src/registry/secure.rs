//! What a connection needs besides an address: the proxy that leads there, and the certificate that says who we are.

use reqwest::{ClientBuilder, Proxy, Url};
use zeroize::Zeroizing;

use super::{HostOptions, Problem};
use crate::{
    proxy::Proxies,
    tls::{Tls, TlsError},
};

/// A client that goes through the machine's proxies and no others, and has the certificates of the host's options; where those have none, those that
/// the machine keeps for the host. Without a host there is no TLS, until the server leads elsewhere.
pub(super) fn prepared(builder: ClientBuilder, host: Option<&str>, options: &HostOptions) -> Result<ClientBuilder, Problem> {
    let mut tls = Tls::default();
    if let Some(host) = host {
        if let Some(path) = &options.ca_file {
            tls.trust(path)?;
        }
        if let Some((certificate, key)) = &options.client {
            tls.identify(certificate, key)?;
        }
        tls.or_of_host(&options.certificates, host)?;
    }
    Ok(tls.put(through(builder, options.proxies.clone()))?)
}

impl From<TlsError> for Problem {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::File(error) => Self::File(error),
            TlsError::Authorities { path, reason } => Self::CaFile { path: path.display().to_string(), reason },
            TlsError::Identity { certificate, key, reason } => {
                Self::ClientCertificate { path: certificate.display().to_string(), key: key.display().to_string(), reason }
            }
            TlsError::Machine(error) => Self::Certificate(error.to_string()),
        }
    }
}

/// reqwest's own choice is replaced: it reads the environment, and knows neither ports nor loopback.
pub(crate) fn through(builder: ClientBuilder, proxies: Proxies) -> ClientBuilder {
    if proxies.https.is_none() && proxies.http.is_none() {
        return builder.no_proxy();
    }
    builder.proxy(Proxy::custom(move |url: &Url| url.as_str().parse().ok().and_then(|server| proxies.choose(&server))))
}

/// A form's body; what it holds is wiped afterwards.
pub(super) fn form(fields: &[(&str, Option<&str>)]) -> Zeroizing<String> {
    let mut url = Url::parse("form:").expect("a scheme alone is a URL");
    url.query_pairs_mut().extend_pairs(fields.iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    Zeroizing::new(url.query().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded() {
        assert_eq!(*form(&[("a", Some("b c&d=é")), ("none", None), ("e", Some(""))]), "a=b+c%26d%3D%C3%A9&e=");
    }
}
