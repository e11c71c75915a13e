//! Certificates by host, in `certs.d/HOST[:PORT]/`: `*.crt` are authorities, `*.cert` with `*.key` of the same name say who we are. In the places of
//! podman and skopeo the first folder that is there decides (containers/image, `docker/docker_client.go`, and
//! pkg/tlsclientconfig); docker reads its one place in the same way (moby, daemon/pkg/registry/registry.go, `loadTLSConfig`).

use std::{
    ffi::OsString,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use rustls::{RootCertStore, pki_types::CertificateDer};

use super::{
    TlsError,
    client::{PEM_MAX, certificates},
    identity::Identity,
};
use crate::io::{FileError, read_capped};

/// Files of one folder that are looked at.
const FILES_MAX: usize = 1000;

/// The folder of a host.
pub(super) struct Folder {
    path: PathBuf,
    /// Sorted, as Go lists them.
    names: Vec<OsString>,
}

/// The folder of a host in the first place that has one.
pub(super) fn of_host(places: &[PathBuf], host: &str) -> Result<Option<Folder>, TlsError> {
    let name = if cfg!(windows) { host.replace(':', "") } else { host.to_owned() };
    // A host is never a path.
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        return Ok(None);
    }
    for place in places {
        let path = place.join(&name);
        match fs::metadata(&path) {
            Ok(_) => return Folder::list(path).map(Some),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(FileError::new("look into", &path, error).into()),
        }
    }
    Ok(None)
}

impl Folder {
    fn list(path: PathBuf) -> Result<Self, TlsError> {
        let failed = |error| FileError::new("list", &path, error);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            // One that nobody may look into is none.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => return Ok(Self { path, names: Vec::new() }),
            Err(error) => return Err(failed(error).into()),
        };
        let names: Result<Vec<OsString>, _> = entries.take(FILES_MAX).map(|entry| entry.map(|entry| entry.file_name())).collect();
        let mut names = names.map_err(failed)?;
        names.sort();
        Ok(Self { path, names })
    }

    fn ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        self.names.iter().map(Path::new).filter(move |name| name.extension().is_some_and(|found| found == ending)).map(|name| self.path.join(name))
    }

    /// Whom to trust besides the machine's authorities. What is no certificate is passed over, as Go does.
    pub(super) fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let mut found = Vec::new();
        for path in self.ending("crt") {
            let certificates = certificates(&read_capped(&path, PEM_MAX)?).unwrap_or_default();
            found.extend(certificates.into_iter().filter(|one| RootCertStore::empty().add(one.clone()).is_ok()));
        }
        Ok(found)
    }

    /// Who we are. Half a pair is an error.
    pub(super) fn identities(&self) -> Result<Vec<Identity>, TlsError> {
        let pair = |certificate: PathBuf| (certificate.with_extension("key"), certificate);
        for (key, certificate) in self.ending("key").map(|key| pair(key.with_extension("cert"))) {
            if !self.has(&certificate) {
                return Err(TlsError::Identity { certificate, key, reason: "there is only the key".to_owned() });
            }
        }
        let mut found = Vec::new();
        for (key, certificate) in self.ending("cert").map(pair) {
            if !self.has(&key) {
                let reason = "there is only the certificate; an authority's is called *.crt".to_owned();
                return Err(TlsError::Identity { certificate, key, reason });
            }
            found.push(Identity::read(&certificate, &key)?);
        }
        Ok(found)
    }

    fn has(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.names.iter().any(|known| known == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_that_is_there_decides() {
        let root = tempfile::tempdir().unwrap();
        let places: Vec<PathBuf> = ["home", "containers", "docker"].iter().map(|name| root.path().join(name)).collect();
        let of = |host: &str| of_host(&places, host).unwrap().map(|folder| folder.path);
        assert_eq!(of("r.dev:5000"), None);
        for (made, wanted) in [(2, 2), (1, 1), (0, 0)] {
            fs::create_dir_all(places[made].join("r.dev:5000")).unwrap();
            assert_eq!(of("r.dev:5000"), Some(places[wanted].join("r.dev:5000")));
        }
        for host in ["r.dev", "r.dev:5001", "", "..", "../home/r.dev:5000", "."] {
            assert_eq!(of(host), None, "{host}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_passed_over_and_half_a_pair_is_not() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("r.dev");
        fs::create_dir(&place).unwrap();
        let folder = || of_host(&[root.path().to_owned()], "r.dev").unwrap().unwrap();
        fs::write(place.join("a.crt"), "hello").unwrap();
        fs::write(place.join("b.crt"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        fs::write(place.join("readme.txt"), "").unwrap();
        assert!(folder().authorities().unwrap().is_empty() && folder().identities().unwrap().is_empty());
        fs::write(place.join("client.cert"), "").unwrap();
        let error = folder().identities().unwrap_err().to_string();
        assert!(error.contains("client.cert` with the key") && error.contains("there is only the certificate; an authority's is called *.crt"), "{error}");
        fs::rename(place.join("client.cert"), place.join("client.key")).unwrap();
        let error = folder().identities().unwrap_err().to_string();
        assert!(error.contains("client.key") && error.contains("there is only the key"), "{error}");
    }
}
