//! Whether a request comes from a page of this gateway. A browser sends a cookie along with whatever any page has it ask, so a
//! cookie proves who the browser belongs to, and this whose page asked.

use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use url::Url;

/// Whether a page asks that is of the same site, as browsers say it.
pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a page of anybody asks: programs that are no browser send neither header.
pub(super) fn is_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE)
}

/// `base` is where people see the gateway, where that is said; else its host is the one that was asked.
pub(super) fn is_own_page(method: &Method, headers: &HeaderMap, base: Option<&Url>) -> bool {
    let text = |name| Some(headers.get(name)?.to_str().unwrap_or_default());
    let is_reading = matches!(*method, Method::GET | Method::HEAD);
    if let Some(origin) = text(&ORIGIN)
        && !is_own_origin(origin, base, text(&HOST))
    {
        return false;
    }
    match text(&SEC_FETCH_SITE) {
        Some("same-origin") => true,
        // An address that somebody typed.
        Some("none") => is_reading,
        Some(_) => false,
        // No browser of these years: one that changes something must at least have an `Origin`.
        None => is_reading || headers.contains_key(ORIGIN),
    }
}

fn is_own_origin(origin: &str, base: Option<&Url>, host: Option<&str>) -> bool {
    if let Some(base) = base {
        return base.origin().ascii_serialization() == origin;
    }
    let named = origin.split_once("://").map(|(_scheme, host)| host);
    named.is_some() && named == host
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_counts_for_own_pages_alone() {
        let base = Url::parse("https://llm.example/path/").unwrap();
        let own = "https://llm.example";
        for (method, site, origin, base, want) in [
            (Method::GET, None, None, None, true),
            (Method::POST, None, None, None, false),
            (Method::POST, Some("same-origin"), None, None, true),
            (Method::GET, Some("none"), None, None, true),
            (Method::POST, Some("none"), None, None, false),
            (Method::GET, Some("cross-site"), None, None, false),
            (Method::GET, Some("same-site"), None, None, false),
            (Method::POST, None, Some("http://gw:4000"), None, true),
            (Method::POST, None, Some("http://evil"), None, false),
            (Method::POST, None, Some("null"), None, false),
            (Method::POST, None, Some(own), Some(&base), true),
            (
                Method::POST,
                None,
                Some("http://gw:4000"),
                Some(&base),
                false,
            ),
            (
                Method::POST,
                Some("same-origin"),
                Some("https://evil"),
                Some(&base),
                false,
            ),
            (Method::GET, None, Some("https://evil"), Some(&base), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("gw:4000"));
            let pairs = [(SEC_FETCH_SITE, site), (ORIGIN, origin)];
            for (name, value) in pairs {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            let got = is_own_page(&method, &headers, base);
            assert_eq!(got, want, "{method} {site:?} {origin:?}");
        }
    }
}
