//! What a connection needs besides an address: the proxy that leads there, and the certificate that says who we are.

use reqwest::{ClientBuilder, Identity, Proxy, Url};
use zeroize::Zeroizing;

use super::{HostOptions, Problem};
use crate::{io::read_capped, proxy::Proxies};

/// The largest file with a certificate or a key that is read.
const PEM_MAX: u64 = 1 << 20;

/// A client that goes through the machine's proxies and no others, and has the certificate of the host's options.
pub(super) fn prepared(builder: ClientBuilder, options: &HostOptions) -> Result<ClientBuilder, Problem> {
    let builder = through(builder, options.proxies.clone());
    let Some((certificate, key)) = &options.client else { return Ok(builder) };
    let mut pem = Zeroizing::new(read_capped(key, PEM_MAX)?);
    pem.push(b'\n');
    pem.extend(read_capped(certificate, PEM_MAX)?);
    let unusable = |reason: String| Problem::ClientCertificate { path: certificate.display().to_string(), key: key.display().to_string(), reason };
    Ok(builder.identity(Identity::from_pem(&pem).map_err(|error| unusable(error.to_string()))?))
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
