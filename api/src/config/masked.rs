//! Database URLs without their passwords.

use crate::store::{Address, AddressError};

const MASK: &str = "***";

/// `url` with the password replaced by `***`. If the password cannot be told apart for sure, as
/// in the `key=value` form, nothing but `***` is shown.
pub(super) fn masked(url: &str) -> String {
    match password(url) {
        Err(_) => MASK.to_owned(),
        Ok(None) => url.to_owned(),
        Ok(Some(_)) => {
            let shown = mask_query(&mask_credentials(url));
            match password(&shown) {
                Ok(Some(left)) if left == MASK.as_bytes() => shown,
                _ => MASK.to_owned(),
            }
        }
    }
}

fn password(url: &str) -> Result<Option<Vec<u8>>, AddressError> {
    let address: Address = url.parse()?;
    Ok(address.password().map(<[u8]>::to_vec))
}

/// `scheme://user:password@…`
fn mask_credentials(url: &str) -> String {
    let masked = || {
        let (scheme, rest) = url.split_once("://")?;
        let (credentials, rest) = rest.split_once('@')?;
        let (user, _) = credentials.split_once(':')?;
        Some(format!("{scheme}://{user}:{MASK}@{rest}"))
    };
    masked().unwrap_or_else(|| url.to_owned())
}

/// `…?password=password&…`
fn mask_query(url: &str) -> String {
    let Some((start, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name @ "password", _)) => format!("{name}={MASK}"),
            _ => parameter.to_owned(),
        })
        .collect();
    format!("{start}?{}", parameters.join("&"))
}
