//! Accounts for who tries the page on a machine of their own. Not part of the contract.
//!
//! The service offers them only while imd is being tried, and to who knows the code that imd printed at
//! its start: see [`Service::create_demo_users`]. Here it is seen to that it is a browser on the same
//! machine that asks: one that was told another name for it may have been led here by a page of somebody
//! else's, and what a proxy says it forwards came from elsewhere.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, Uri, header::HOST, uri::Authority},
};
use serde::{Deserialize, Serialize};

use crate::{
    rest::{extract::Json, problem::Problem},
    service::{DemoUser, Service},
};

/// Headers that proxies add.
const PROXIED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

#[derive(Serialize)]
pub(super) struct Offer {
    offered: bool,
}

/// As JSON: a page of another origin cannot send that unasked.
#[derive(Deserialize)]
pub(super) struct Wanted {
    code: String,
}

#[derive(Serialize)]
pub(super) struct Created {
    users: Vec<Account>,
}

#[derive(Serialize)]
struct Account {
    user_id: &'static str,
    password: String,
}

pub(super) async fn offered(
    State(service): State<Arc<Service>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Offer>, Problem> {
    let offered = is_local(&uri, &headers) && service.demo_users_offered().await?;
    Ok(Json(Offer { offered }))
}

pub(super) async fn create(
    State(service): State<Arc<Service>>,
    uri: Uri,
    headers: HeaderMap,
    Json(Wanted { code }): Json<Wanted>,
) -> Result<Json<Created>, Problem> {
    if !is_local(&uri, &headers) {
        return Err(Problem::not_found());
    }
    let users = service.create_demo_users(code.trim()).await?.ok_or_else(Problem::not_found)?;
    let account = |DemoUser { user_id, password }| Account { user_id, password };
    Ok(Json(Created { users: users.into_iter().map(account).collect() }))
}

/// Whether a browser on this machine asks for this machine.
fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let named = uri.authority().cloned().or_else(|| {
        let host = headers.get(HOST)?.to_str().ok()?;
        host.parse::<Authority>().ok()
    });
    let is_loopback = |authority: Authority| {
        let host = authority.host().trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    };
    named.is_some_and(is_loopback) && !PROXIED.iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_browser_on_this_machine_is_local() {
        let with = |headers: &[(&'static str, &str)]| {
            let header = |&(name, value): &(&'static str, &str)| {
                (name.parse().unwrap(), value.parse().unwrap())
            };
            is_local(&Uri::from_static("/"), &headers.iter().map(header).collect())
        };
        for host in ["localhost:8080", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080"] {
            assert!(with(&[("host", host)]), "{host}");
        }
        for host in ["chat.example.com", "10.0.0.1:8080", "localhost.example.com", "[::2]", ""] {
            assert!(!with(&[("host", host)]), "{host}");
        }
        assert!(!with(&[]));
        assert!(!with(&[("host", "localhost:8080"), ("x-forwarded-for", "203.0.113.7")]));
    }
}
