//! Credentials, good ones and others.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{cluster::Cluster, node::ADMIN_KEY, terminal::Terminal};

/// Tokens that are not good for any user's call: (what it is, the token).
pub(crate) async fn forgeries(imd: &Cluster, genuine: &Terminal) -> Vec<(&'static str, String)> {
    imd.user("mallory").await;
    let mallory = imd.log_in("mallory", "phone", "p").await;
    let [header, claims, signature] = parts(&genuine.token);
    let [_, _, signature_of_mallory] = parts(&mallory.token);
    let unsigned = encode(&json!({ "alg": "none", "typ": "JWT" }));
    let symmetric = encode(&json!({ "alg": "HS256", "typ": "JWT" }));
    let mut no_end: Value = decode(claims);
    no_end["exp"] = 4_102_444_800_u64.into();
    let mut of_the_victim: Value = decode(parts(&mallory.token)[1]);
    of_the_victim["uno"] = decode(claims)["uno"].clone();
    vec![
        ("garbage", "garbage".to_owned()),
        ("nothing", String::new()),
        ("a refresh token", genuine.refresh_token.clone()),
        ("the admin key", ADMIN_KEY.to_owned()),
        ("no signature", format!("{header}.{claims}.")),
        ("another's signature", format!("{header}.{claims}.{signature_of_mallory}")),
        ("no algorithm", format!("{unsigned}.{claims}.")),
        ("another algorithm", format!("{symmetric}.{claims}.{signature}")),
        ("a later end", format!("{header}.{}.{signature}", encode(&no_end))),
        ("another user", format!("{header}.{}.{signature_of_mallory}", encode(&of_the_victim))),
    ]
}

/// Keys that are not the administrator's.
pub(super) fn wrong_keys(user: &Terminal) -> Vec<(&'static str, String)> {
    vec![
        ("garbage", "garbage".to_owned()),
        ("nothing", String::new()),
        ("a part of the key", ADMIN_KEY[1..].to_owned()),
        ("more than the key", format!("{ADMIN_KEY}x")),
        ("a user's token", user.token.clone()),
    ]
}

fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<_> = token.split('.').collect();
    parts.try_into().expect("a JWT has three parts")
}

fn encode(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

fn decode(part: &str) -> Value {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64");
    serde_json::from_slice(&bytes).expect("JSON")
}
