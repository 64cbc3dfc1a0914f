//! Creates messages for users about TLS errors. Connections to PostgreSQL and to Valkey use the same TLS
//! library. The fields of the library's errors contain more detail than the texts of these errors.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::CertificateError;

/// Returns a message about a rejected certificate or about a server without TLS. Returns `None` for other
/// errors.
pub(crate) fn describe_tls_error(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(known) = find_tls_error(error) {
            return Some(format!("{} ({known})", error_hint(known)));
        }
        next = error.source();
    }
    None
}

/// Returns the TLS library's own error from inside the errors that wrap it.
fn find_tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let shared = error.downcast_ref::<Arc<dyn Error + Send + Sync>>();
    let error: &'a (dyn Error + 'static) = shared.map_or(error, |shared| &**shared);
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref::<rustls::Error>().or_else(|| inner?.downcast_ref::<rustls::Error>())
}

fn error_hint(error: &rustls::Error) -> &'static str {
    if let rustls::Error::InvalidCertificate(wrong) = error {
        if matches!(
            wrong,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        ) {
            return "the server's certificate is not for this host: use a host name from the certificate, \
                or give the server another certificate";
        }
        if matches!(wrong, CertificateError::UnknownIssuer) {
            return "the server's certificate is from a CA that is not trusted: add the CA's certificate to \
                the system's certificates, or set SSL_CERT_FILE to a file with all trusted certificates";
        }
        return "the server's certificate is rejected: replace the certificate";
    }
    if matches!(error, rustls::Error::InvalidMessage(_)) {
        return "the server does not use TLS on this port: correct the port, or, if the network to the \
            server is safe, connect without TLS";
    }
    "the TLS handshake failed; check that both sides allow the same TLS versions, and check the server's \
        log"
}
