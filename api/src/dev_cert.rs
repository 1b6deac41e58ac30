//! `imd dev-cert`: a certificate to try TLS with. Its authority is made for it alone and keeps no private
//! key, so that it can vouch for nothing else.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// How long the certificates are good.
const GOOD_FOR: Duration = Duration::days(365);

/// The names of this machine as it knows itself.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Arguments of `imd dev-cert`.
#[derive(Debug, clap::Args)]
pub(super) struct DevCertArgs {
    /// A DNS name or IP address by which clients reach the server, besides localhost and its addresses;
    /// can be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// The folder for the files; made if missing
    #[arg(long, value_name = "FOLDER", default_value = "imd-dev-cert")]
    folder: PathBuf,
}

/// The certificates and the private key, PEM.
struct Made {
    ca: String,
    cert: String,
    key: String,
    good_until: OffsetDateTime,
}

/// Makes the files; what there is to say about them.
///
/// # Errors
/// When a name cannot be in a certificate, and when a file is there already or cannot be written.
pub(super) fn make(args: &DevCertArgs) -> anyhow::Result<String> {
    let names: Vec<String> =
        LOCAL.map(str::to_owned).into_iter().chain(args.names.iter().cloned()).collect();
    let made = certify(&names)?;
    let folder = &args.folder;
    fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| folder.join(name));
    for file in [&ca, &cert, &key] {
        anyhow::ensure!(
            !file.exists(),
            "{} is there already: delete it, or name another folder with --folder",
            file.display()
        );
    }
    write(&ca, &made.ca, 0o644)?;
    write(&cert, &made.cert, 0o644)?;
    write(&key, &made.key, 0o600)?;
    let [ca, cert, key] = [ca, cert, key].map(|file| file.display().to_string());
    Ok(format!(
        "\
Made for {names}; good until {good_until}:

  {cert}  the certificate of the server
  {key}   its private key
  {ca}    the authority that clients have to trust

Serve with it:

  imd --set tls.cert={cert} --set tls.key={key} \\
      --set admin.tls.cert={cert} --set admin.tls.key={key}

and reach it:

  imctl --server https://127.0.0.1:8081 --ca {ca} status
  curl --cacert {ca} https://127.0.0.1:8080/v1/info

It is for trials: real clients trust a certificate of a public authority.",
        names = names.join(", "),
        good_until = made.good_until.date(),
    ))
}

fn certify(names: &[String]) -> anyhow::Result<Made> {
    let now = OffsetDateTime::now_utc();
    let good_until = now + GOOD_FOR;
    let dated = |mut params: CertificateParams, name: &str| {
        // Clocks differ.
        (params.not_before, params.not_after) = (now - Duration::days(1), good_until);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut authority = dated(CertificateParams::default(), "imd dev-cert authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let server = CertificateParams::new(names.to_vec())
        .with_context(|| format!("--name: {} cannot be in a certificate", names.join(", ")))?;
    let mut server = dated(server, "imd dev-cert server");
    server.is_ca = IsCa::ExplicitNoCa;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let cert = server.signed_by(&key, &authority)?;
    Ok(Made { ca: authority.pem(), cert: cert.pem(), key: key.serialize_pem(), good_until })
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().with_context(|| format!("write {}", path.display()))
}
