//! The keys of issuers.

use jsonwebtoken::{
    Algorithm, DecodingKey, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};

/// The least length of a secret that two share, in bytes: that of the hash (RFC 7518, 3.2).
const MIN_SECRET_LENGTH: usize = 32;

/// Why a file of keys cannot be used. Never shows a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is neither PEM nor a JWKS.
    #[error("neither PEM nor a JWKS")]
    Unreadable,
    /// It has no key.
    #[error("there is no key in it")]
    Empty,
    /// A key of a kind that is not supported, or a private one where a public one belongs.
    #[error("a key in it is neither a public key of Ed25519, P-256 or RSA nor a shared secret")]
    Unsupported,
    /// A key that no algorithm of the issuer needs.
    #[error("a key in it is for {0:?}, which is not among the issuer's algorithms")]
    NotAllowed(Algorithm),
    /// A shared secret that could be guessed.
    #[error("a secret in it is shorter than {MIN_SECRET_LENGTH} bytes")]
    Short,
}

/// A key, good for one algorithm.
#[derive(Debug, Clone)]
pub(super) struct TrustedKey {
    key_id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl TrustedKey {
    /// Whether a token with this header can have been signed with it.
    pub(super) fn fits(&self, header: &Header) -> bool {
        let named = match (&self.key_id, &header.kid) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        named && self.algorithm == header.alg
    }
}

/// Reads the keys of a file.
pub(super) fn read(text: &str, algorithms: &[Algorithm]) -> Result<Vec<TrustedKey>, KeyError> {
    // Some editors put a mark at the start.
    let text = text.trim_start_matches('\u{feff}');
    let keys = if text.trim_start().starts_with('{') { of_jwks(text)? } else { of_pem(text)? };
    if keys.is_empty() {
        return Err(KeyError::Empty);
    }
    match keys.iter().find(|key| !algorithms.contains(&key.algorithm)) {
        Some(key) => Err(KeyError::NotAllowed(key.algorithm)),
        None => Ok(keys),
    }
}

fn of_pem(text: &str) -> Result<Vec<TrustedKey>, KeyError> {
    let blocks = pem::parse_many(text).map_err(|_| KeyError::Unreadable)?;
    blocks.iter().map(of_pem_block).collect()
}

fn of_pem_block(block: &pem::Pem) -> Result<TrustedKey, KeyError> {
    let text = pem::encode(block);
    // Each constructor takes keys of its own kind alone.
    let kinds = [
        (Algorithm::EdDSA, DecodingKey::from_ed_pem(text.as_bytes())),
        (Algorithm::ES256, DecodingKey::from_ec_pem(text.as_bytes())),
        (Algorithm::RS256, DecodingKey::from_rsa_pem(text.as_bytes())),
    ];
    let is_public = matches!(block.tag(), "PUBLIC KEY" | "RSA PUBLIC KEY");
    let found = kinds.into_iter().find_map(|(algorithm, key)| Some((algorithm, key.ok()?)));
    let (algorithm, key) = found.filter(|_| is_public).ok_or(KeyError::Unsupported)?;
    if algorithm == Algorithm::ES256 && !is_point_of_p256(&key) {
        return Err(KeyError::Unsupported);
    }
    Ok(TrustedKey { key_id: None, algorithm, key })
}

/// An uncompressed point of the curve: a mark and two coordinates. Longer on any other curve.
fn is_point_of_p256(key: &DecodingKey) -> bool {
    key.try_get_as_bytes().is_ok_and(|point| point.len() == 1 + 2 * 32)
}

fn of_jwks(text: &str) -> Result<Vec<TrustedKey>, KeyError> {
    let set: JwkSet = serde_json::from_str(text).map_err(|_| KeyError::Unreadable)?;
    let signs = |jwk: &&Jwk| jwk.common.public_key_use != Some(PublicKeyUse::Encryption);
    set.keys.iter().filter(signs).map(of_jwk).collect()
}

fn of_jwk(jwk: &Jwk) -> Result<TrustedKey, KeyError> {
    let (algorithm, in_jwks) = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, KeyAlgorithm::HS256),
        _ => return Err(KeyError::Unsupported),
    };
    if jwk.common.key_algorithm.is_some_and(|declared| declared != in_jwks) {
        return Err(KeyError::Unsupported);
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|_| KeyError::Unsupported)?;
    let length = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    if algorithm == Algorithm::HS256 && length < MIN_SECRET_LENGTH {
        return Err(KeyError::Short);
    }
    Ok(TrustedKey { key_id: jwk.common.key_id.clone(), algorithm, key })
}
