//! Which proxy leads to a server, by the rules of Go's net/http (golang.org/x/net/http/httpproxy), which kubectl, helm, docker and podman follow.
//!
//! kube 5.0 compares `NO_PROXY` with the proxy's own address instead of the server's, and reqwest's own choice knows no ports and no loopback, so
//! the choice is made here.

use std::{fmt, net::IpAddr};

/// The proxy part of the environment. The values are what the variables hold.
#[derive(Clone, Default)]
pub(crate) struct ProxyRules<'a> {
    pub(crate) https: Option<&'a str>,
    pub(crate) http: Option<&'a str>,
    pub(crate) none: Option<&'a str>,
}

/// The same, kept. A proxy's address may hold a password, so none is shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// `HTTPS_PROXY`: leads to servers with TLS.
    pub https: Option<String>,
    /// `HTTP_PROXY`: leads to servers without.
    pub http: Option<String>,
    /// `NO_PROXY`: servers that are reached directly.
    pub none: Option<String>,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { https, http, none } = self;
        f.debug_struct("Proxies").field("https", &https.is_some()).field("http", &http.is_some()).field("none", none).finish()
    }
}

impl Proxies {
    /// The proxy for a server, with its scheme; `HOST:PORT` alone is one without TLS (httpproxy, `parseProxy`).
    pub fn choose(&self, server: &http::Uri) -> Option<String> {
        let rules = ProxyRules { https: self.https.as_deref(), http: self.http.as_deref(), none: self.none.as_deref() };
        let proxy = rules.choose(server, None)?;
        Some(if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") })
    }
}

impl<'a> ProxyRules<'a> {
    /// The proxy for a server, if one leads there. `explicit` is `proxy-url` of the kubeconfig, which `NO_PROXY` does not touch
    /// (client-go, rest/config.go: it becomes `http.ProxyURL`).
    pub(crate) fn choose(&self, server: &http::Uri, explicit: Option<&'a str>) -> Option<&'a str> {
        let set = |value: Option<&'a str>| value.map(str::trim).filter(|v| !v.is_empty());
        if let Some(proxy) = set(explicit) {
            return Some(proxy);
        }
        let https = server.scheme_str() != Some("http");
        let proxy = set(if https { self.https } else { self.http })?;
        let host = server.host()?.trim_matches(['[', ']']);
        let port = server.port_u16().unwrap_or(if https { 443 } else { 80 });
        (!bypass(host, port, self.none.unwrap_or_default())).then_some(proxy)
    }
}

/// Whether a host is reached without the proxy.
fn bypass(host: &str, port: u16, no_proxy: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|a| a.is_loopback()) {
        return true;
    }
    no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|e| !e.is_empty()).any(|entry| matches(&entry, &host, address, port))
}

fn matches(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/')
        && let (Ok(network), Ok(bits)) = (network.parse(), bits.parse())
    {
        return address.is_some_and(|a| in_network(a, network, bits));
    }
    let (name, wanted_port) = split_port(entry);
    if wanted_port.is_some_and(|p| p != port) {
        return false;
    }
    if let Ok(wanted) = name.parse::<IpAddr>() {
        return address == Some(wanted);
    }
    if address.is_some() {
        return false;
    }
    let name = name.strip_prefix('*').unwrap_or(name);
    if name.starts_with('.') { host.ends_with(name) } else { host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')) }
}

fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some(rest) = entry.strip_prefix('[')
        && let Some((address, port)) = rest.split_once(']')
    {
        return (address, port.strip_prefix(':').and_then(|p| p.parse().ok()));
    }
    match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, port.parse().ok()),
        _ => (entry, None),
    }
}

fn in_network(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same = |a: u128, b: u128, width: u32| bits <= width && (bits == 0 || (a ^ b) >> (width - bits) == 0);
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_about_the_server() {
        let cases = [
            ("https://10.0.0.1:6443", "10.0.0.0/8", false),
            ("https://10.0.0.1:6443", "10.0.0.1", false),
            ("https://10.0.0.1:6443", "10.0.0.1:6443", false),
            ("https://10.0.0.1:6443", "10.0.0.1:443", true),
            ("https://10.0.0.1:6443", "proxy.corp", true),
            ("https://10.0.0.1:6443", "192.168.0.0/16,.corp", true),
            ("https://[fd00::1]:6443", "fd00::/8", false),
            ("https://api.shop.corp:6443", ".corp", false),
            ("https://api.shop.corp:6443", "corp", false),
            ("https://corp", ".corp", true),
            ("https://api.shop.corp", "*.shop.corp", false),
            ("https://api.shop.corp", "xshop.corp", true),
            ("https://api.shop.corp", "*", false),
            ("https://localhost:6443", "", false),
            ("https://127.0.0.1:6443", "", false),
            ("https://api.shop.corp", "not a thing//,,", true),
        ];
        for (server, no_proxy, proxied) in cases {
            let rules = ProxyRules { https: Some("http://proxy.corp:3128"), http: None, none: Some(no_proxy) };
            assert_eq!(rules.choose(&server.parse().unwrap(), None).is_some(), proxied, "{server} with {no_proxy}");
        }
    }

    /// The table of Go's own test (`UseProxyTests` in httpproxy/proxy_test.go), with the ports that it adds; true where the proxy is used.
    #[test]
    fn hosts_are_matched_as_go_does() {
        let none = "foobar.com, .barbaz.net, *.wildcard.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, 2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64";
        let proxies = Proxies { http: Some("proxy.corp:3128".to_owned()), https: None, none: Some(none.to_owned()) };
        for (host, proxied) in [
            ("localhost", false),
            ("127.0.0.1", false),
            ("127.0.0.2", false),
            ("[::1]", false),
            ("[::2]", true),
            ("192.168.1.1", false),
            ("192.168.1.2", true),
            ("192.168.1.3", false),
            ("192.168.1.4", true),
            ("10.0.0.2", false),
            ("[2001:db8::52:0:1]", false),
            ("[2001:db8::52:0:2]", true),
            ("[2001:db8::52:0:3]", false),
            ("[2002:db8:a::123]", false),
            ("[fe80::424b:c8be:1643:a1b6]", true),
            ("barbaz.net", true),
            ("www.barbaz.net", false),
            ("foobar.com", false),
            ("www.foobar.com", false),
            ("foofoobar.com", true),
            ("baz.com", true),
            ("localhost.net", true),
            ("wildcard.io", true),
            ("nested.wildcard.io", false),
            ("awildcard.io", true),
        ] {
            let found = proxies.choose(&format!("http://{host}/v2/").parse().unwrap());
            assert_eq!(found, proxied.then(|| "http://proxy.corp:3128".to_owned()), "{host}");
        }
        assert_eq!(proxies.choose(&"https://baz.com".parse().unwrap()), None, "there is no proxy for TLS");
        let secret = Proxies { https: Some("http://me:secret@proxy.corp".to_owned()), ..Proxies::default() };
        assert!(!format!("{secret:?}").contains("secret"));
    }

    #[test]
    fn proxy_url_of_the_kubeconfig_wins() {
        let rules = ProxyRules { https: None, http: Some("http://other:1"), none: Some("*") };
        assert_eq!(rules.choose(&"https://a.b".parse().unwrap(), Some("http://p:1")), Some("http://p:1"));
        assert_eq!(rules.choose(&"https://a.b".parse().unwrap(), None), None);
    }
}
