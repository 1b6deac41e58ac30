//! Where the bytes of attachments are, as the settings have it.

use std::time::Duration;

use anyhow::Context;

use super::push::{client, secret};
use crate::{
    config,
    service::{AttachmentSettings, Bucket, BucketSettings, ObjectSettings},
};

/// How long a bucket may take to answer: it copies large objects while it does.
const PATIENCE: Duration = Duration::from_mins(1);

/// Reads the key of the bucket. No proxy that the environment names is used.
///
/// Errors: a file that cannot be used.
pub(super) fn read(settings: &config::Settings) -> anyhow::Result<AttachmentSettings> {
    let config::Attachments { max_bytes, quota_bytes, types, link_ttl, folder, .. } =
        &settings.attachments;
    let in_data_folder = || settings.data_dir.join("attachments");
    let in_folder = || ObjectSettings::Folder(folder.clone().unwrap_or_else(in_data_folder));
    let bucket = bucket(&settings.attachments)?;
    let objects = bucket.map_or_else(in_folder, |bucket| ObjectSettings::Bucket(Box::new(bucket)));
    Ok(AttachmentSettings {
        max_bytes: i64::try_from(*max_bytes)?,
        quota_bytes: i64::try_from(*quota_bytes)?,
        types: types.split(',').map(|name| name.trim().to_owned()).collect(),
        link_ttl: *link_ttl,
        objects,
    })
}

fn bucket(settings: &config::Attachments) -> anyhow::Result<Option<Bucket>> {
    let Some(url) = &settings.bucket else { return Ok(None) };
    let key = settings.key.as_ref().map(|file| secret("attachments.key", file));
    let bucket = Bucket::new(BucketSettings {
        url: url.parse().context("attachments.bucket")?,
        endpoint: settings.endpoint.clone(),
        region: settings.region.clone(),
        key_id: settings.key_id.clone(),
        key: key.transpose()?,
        http: client(&[])?.no_proxy().timeout(PATIENCE).build()?,
    });
    bucket.map(Some).context("attachments.bucket cannot be used with these settings")
}
