//! Who may vouch for users.

use jsonwebtoken::Algorithm;

use super::*;

const ISSUER: &str = r#"
[[login.issuers]]
issuer = "https://product.example"
audience = "imd"
algorithms = ["EdDSA", "ES256"]
keys = ["product.pem", "product.jwks"]
"#;

#[test]
fn issuers_stand_in_the_file() {
    let (_folder, flags) = file(&format!("{ISSUER}provision = true\nmax_age = \"30s\"\n"));
    let settings = load(&flags, &[]).unwrap();
    let issuer = &settings.login.issuers[0];
    assert_eq!(issuer.algorithms, [Algorithm::EdDSA, Algorithm::ES256]);
    assert_eq!(issuer.keys, [PathBuf::from("product.pem"), PathBuf::from("product.jwks")]);
    assert!(issuer.provision);
    assert_eq!(issuer.max_age, Duration::from_secs(30));
    let (_folder, again) = file(&settings.to_masked_toml());
    assert_eq!(load(&again, &[]).unwrap().to_masked_toml(), settings.to_masked_toml());

    let (_folder, flags) = file(ISSUER);
    let issuer = &load(&flags, &[]).unwrap().login.issuers[0];
    assert!(!issuer.provision);
    assert_eq!(issuer.max_age, Duration::from_mins(2));
}

#[test]
fn an_issuer_that_cannot_be_used_is_refused() {
    for (good, bad) in [
        ("issuer = \"https://product.example\"", "issuer = \"\""),
        ("audience = \"imd\"", "audience = \"\""),
        ("audience = \"imd\"", ""),
        ("[\"EdDSA\", \"ES256\"]", "[]"),
        ("[\"EdDSA\", \"ES256\"]", "[\"none\"]"),
        ("[\"EdDSA\", \"ES256\"]", "[\"RS512\"]"),
        ("[\"product.pem\", \"product.jwks\"]", "[]"),
        ("keys = ", "key = "),
        ("audience = ", "max_age = \"2h\"\naudience = "),
    ] {
        let (_folder, flags) = file(&ISSUER.replace(good, bad));
        let message = refusal(&flags, &[]);
        assert!(
            message.contains("login.issuers") || message.contains("missing"),
            "{bad}: {message}"
        );
    }
    let (_folder, flags) = file(&ISSUER.repeat(2));
    assert!(refusal(&flags, &[]).contains("stands there once"));
}
