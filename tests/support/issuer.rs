//! A product's own backend, which vouches for its users.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use imd::config;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use pem::Pem;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    api::{Credential, Login},
    cluster::{Cluster, login},
};

/// What every issuer calls the deployment.
pub(crate) const AUDIENCE: &str = "imd of the tests";

/// A key to sign with.
pub(crate) struct SigningKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) signing: EncodingKey,
    /// What a verifier has: PEM, or a JWKS for a secret.
    pub(crate) file: String,
}

impl SigningKey {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::EdDSA => Self::ed25519(),
            Algorithm::ES256 => Self::p256(),
            Algorithm::RS256 => Self::rsa(),
            Algorithm::HS256 => Self::secret(&Uuid::new_v4().simple().to_string()),
            other => panic!("{other:?} is not for assertions"),
        }
    }

    fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let private = pair.to_pkcs8v1().expect("PKCS #8");
        let public = AsDer::<PublicKeyX509Der>::as_der(pair.public_key()).expect("a public key");
        Self {
            algorithm: Algorithm::EdDSA,
            signing: EncodingKey::from_ed_der(private.as_ref()),
            file: public_pem(public.as_ref()),
        }
    }

    fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let private = pair.to_pkcs8v1().expect("PKCS #8");
        let public = AsDer::<PublicKeyX509Der>::as_der(pair.public_key()).expect("a public key");
        Self {
            algorithm: Algorithm::ES256,
            signing: EncodingKey::from_ec_der(private.as_ref()),
            file: public_pem(public.as_ref()),
        }
    }

    fn rsa() -> Self {
        let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("a key");
        let private = AsDer::<Pkcs8V1Der>::as_der(&pair).expect("PKCS #8");
        let private = pem::encode(&Pem::new("PRIVATE KEY", private.as_ref()));
        let public = AsDer::<PublicKeyX509Der>::as_der(pair.public_key()).expect("a public key");
        Self {
            algorithm: Algorithm::RS256,
            signing: EncodingKey::from_rsa_pem(private.as_bytes()).expect("a private key"),
            file: public_pem(public.as_ref()),
        }
    }

    fn secret(secret: &str) -> Self {
        let jwk = json!({ "kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(secret) });
        Self {
            algorithm: Algorithm::HS256,
            signing: EncodingKey::from_secret(secret.as_bytes()),
            file: json!({ "keys": [jwk] }).to_string(),
        }
    }

    /// The public half of an Ed25519 key as a JWK has it.
    pub(crate) fn x(&self) -> String {
        let der = pem::parse(&self.file).expect("PEM").into_contents();
        BASE64_URL_SAFE_NO_PAD.encode(&der[der.len() - 32..])
    }

    /// Signs claims, under a header that names the key's own algorithm.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        encode(&Header::new(self.algorithm), claims, &self.signing).expect("a token")
    }
}

fn public_pem(der: &[u8]) -> String {
    pem::encode(&Pem::new("PUBLIC KEY", der))
}

/// A backend with one key.
pub(crate) struct Issuer {
    pub(crate) name: String,
    pub(crate) key: SigningKey,
    folder: TempDir,
}

impl Issuer {
    pub(crate) fn new(name: &str, algorithm: Algorithm) -> Self {
        let folder = TempDir::new().expect("a folder");
        Self { name: name.to_owned(), key: SigningKey::new(algorithm), folder }
    }

    /// One that the node trusts and that may make users.
    pub(crate) fn trusted_by(imd: &Cluster) -> Self {
        let issuer = Self::new("https://product.example", Algorithm::EdDSA);
        issuer.be_trusted(imd);
        issuer
    }

    /// Has the node trust it, and no other issuer.
    pub(crate) fn be_trusted(&self, imd: &Cluster) {
        let settings = self.settings();
        imd.node.reload(|all| all.login.issuers = vec![settings]).expect("usable keys");
    }

    /// The path of a file of its key.
    pub(crate) fn key_file(&self) -> String {
        self.settings().keys[0].to_str().expect("a path in UTF-8").to_owned()
    }

    /// How a node is told to trust it.
    pub(crate) fn settings(&self) -> config::Issuer {
        self.settings_with(&self.key.file, &[self.key.algorithm])
    }

    /// How a node is told to trust it with a file of other keys.
    pub(crate) fn settings_with(&self, keys: &str, algorithms: &[Algorithm]) -> config::Issuer {
        let file = self.folder.path().join(Uuid::new_v4().to_string());
        std::fs::write(&file, keys).expect("a file of keys");
        config::Issuer {
            issuer: self.name.clone(),
            audience: AUDIENCE.to_owned(),
            algorithms: algorithms.to_vec(),
            keys: vec![file],
            provision: true,
            max_age: Duration::from_mins(2),
        }
    }

    /// The claims of a good assertion about a user.
    pub(crate) fn claims(&self, user_id: &str) -> Value {
        json!({
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": user_id,
            "iat": now(),
            "exp": now() + 60,
            "jti": Uuid::new_v4(),
        })
    }

    /// A good assertion about a user.
    pub(crate) fn vouch(&self, user_id: &str) -> String {
        self.key.sign(&self.claims(user_id))
    }

    /// A good assertion with other claims; those that are null are left out.
    pub(crate) fn vouch_with(&self, user_id: &str, other: &Value) -> String {
        self.key.sign(&with(self.claims(user_id), other))
    }
}

/// The claims with others in place of some; those that are null are left out.
pub(crate) fn with(mut claims: Value, other: &Value) -> Value {
    for (name, value) in other.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
    claims
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// A login by assertion on a device named after its id.
pub(crate) fn asserted(assertion: String, terminal_type: &str, device_id: &str) -> Login {
    let credential = Credential::Assertion(assertion);
    Login { user_id: String::new(), credential, ..login("", terminal_type, device_id) }
}
