//! Files that messages have with them: who may upload what, who gets a link, and when they are deleted.
//!
//! The database knows which attachments there are and which messages have them (`store/attachments.rs`); their bytes are in
//! a folder that imd serves itself, or in a bucket, which clients reach by URLs that are signed here.

mod bucket;
mod folder;

use std::{fmt::Write as _, io, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::Stream;
use time::OffsetDateTime;
use tokio::fs::File;
use uuid::Uuid;

pub use self::bucket::{Bucket, BucketSettings};
use self::folder::Folder;
use super::Service;
use crate::{
    model::{Attachment, AttachmentRequest, Error, Result, UserNo, parse_uuid},
    store::Store,
};

/// How many attachments are looked at in one statement.
const BATCH: i64 = 100;

/// What a token stands for by which a client uploads to imd.
const UPLOAD: &str = "attachment/upload";

/// What attachments may be, and where their bytes are.
#[derive(Debug, Clone)]
pub struct AttachmentSettings {
    /// The largest, in bytes; 0 for none at all.
    pub max_bytes: i64,
    /// How many bytes those of one user may have together; 0 for any number.
    pub quota_bytes: i64,
    /// Which media types there may be; `*` stands for any part.
    pub types: Vec<String>,
    /// For how long a link, or the right to upload, is good.
    pub link_ttl: Duration,
    /// Where the bytes are.
    pub objects: ObjectSettings,
}

/// Where the bytes of attachments are.
#[derive(Debug, Clone)]
pub enum ObjectSettings {
    /// In a folder of the node, which imd serves.
    Folder(PathBuf),
    /// In a bucket, which clients reach themselves.
    Bucket(Box<Bucket>),
}

/// Attachments, as the service has them.
pub(super) struct Attachments {
    settings: AttachmentSettings,
}

/// An attachment whose bytes imd serves.
#[derive(Debug)]
pub struct OpenAttachment {
    /// What is known of it.
    pub attachment: Attachment,
    /// Its bytes.
    pub file: File,
}

impl Attachments {
    pub(super) fn new(settings: AttachmentSettings) -> Self {
        Self { settings }
    }

    /// The folder. Errors: [`Error::AttachmentNotFound`] where the bytes are in a bucket.
    fn folder(&self) -> Result<Folder> {
        match &self.settings.objects {
            ObjectSettings::Folder(path) => Ok(Folder(path.clone())),
            ObjectSettings::Bucket(_) => Err(Error::AttachmentNotFound),
        }
    }

    /// Whether clients upload to a bucket, where nothing stops them as long as their URL is good.
    fn in_bucket(&self) -> bool {
        matches!(self.settings.objects, ObjectSettings::Bucket(_))
    }

    async fn delete(&self, attachment_id: Uuid) -> Result<()> {
        match &self.settings.objects {
            ObjectSettings::Folder(path) => Folder(path.clone()).delete(attachment_id).await,
            ObjectSettings::Bucket(bucket) => bucket.delete(attachment_id).await,
        }
    }

    async fn settle(&self, attachment: &Attachment, is_kept: bool) -> Result<()> {
        match &self.settings.objects {
            ObjectSettings::Folder(_) => Ok(()),
            ObjectSettings::Bucket(bucket) => bucket.settle(attachment, is_kept).await,
        }
    }

    /// Whether attachments of a media type may be uploaded.
    fn takes(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default();
        let (kind, subtype) = essence.split_once('/').unwrap_or_default();
        self.settings.types.iter().any(|allowed| {
            let (allowed_kind, allowed_subtype) = allowed.split_once('/').unwrap_or_default();
            [(allowed_kind, kind), (allowed_subtype, subtype)]
                .iter()
                .all(|(allowed, found)| *allowed == "*" || allowed.eq_ignore_ascii_case(found))
        })
    }
}

/// How a browser is to treat an attachment: as a file to save under its name, and never as a page to show.
#[must_use]
pub fn disposition(file_name: &str) -> String {
    let mut disposition = "attachment; filename*=UTF-8''".to_owned();
    for byte in file_name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            disposition.push(char::from(byte));
        } else {
            let _ = write!(disposition, "%{byte:02X}");
        }
    }
    disposition
}

impl Service {
    /// The largest attachment that can be uploaded, in bytes; 0 where none can be.
    pub(super) fn max_attachment_bytes(&self) -> i64 {
        self.attachments.settings.max_bytes
    }

    /// Creates an attachment that the caller is to upload: its id, and how.
    ///
    /// Errors: [`Error::InvalidArgument`], [`Error::AttachmentQuotaUsed`], [`Error::RateLimited`].
    pub async fn create_attachment(
        &self,
        token: Option<&str>,
        file_name: String,
        content_type: String,
        size: i64,
        sha256: &str,
    ) -> Result<(Uuid, AttachmentRequest)> {
        let caller = self.changer(token).await?;
        self.check_session(&caller).await?;
        let attachment = Attachment::new(file_name, content_type, size, sha256)?;
        let AttachmentSettings { max_bytes, quota_bytes, link_ttl, objects, .. } =
            &self.attachments.settings;
        if size > *max_bytes {
            return Err(Error::invalid("size", format!("must be at most {max_bytes} bytes")));
        }
        if !self.attachments.takes(&attachment.content_type) {
            return Err(Error::invalid("content_type", "is not accepted by this server"));
        }
        let in_bucket = self.attachments.in_bucket();
        self.store.create_attachment(caller.user_no, &attachment, *quota_bytes, in_bucket).await?;
        let id = attachment.attachment_id;
        let upload = match objects {
            ObjectSettings::Bucket(bucket) => bucket.upload(&attachment, *link_ttl).await?,
            ObjectSettings::Folder(_) => {
                let expires_at = self.store.now() + *link_ttl;
                let token = self.opaque_tokens.seal(UPLOAD, &payload(id, expires_at));
                AttachmentRequest {
                    method: "PUT",
                    url: format!("/v1/attachments/{id}/content"),
                    headers: vec![
                        ("authorization", format!("Bearer {token}")),
                        ("content-type", attachment.content_type),
                    ],
                    expires_at,
                }
            }
        };
        Ok((id, upload))
    }

    /// A link to an attachment of a message that the caller sees.
    ///
    /// Errors: [`Error::MessageNotFound`], [`Error::AttachmentNotFound`], [`Error::RateLimited`].
    pub async fn attachment_link(
        &self,
        token: Option<&str>,
        message_id: &str,
        attachment_id: &str,
    ) -> Result<AttachmentRequest> {
        let caller = self.reader(token).await?;
        let message_id = self.message_id(message_id).await?;
        let id = parse_uuid("attachment_id", attachment_id)?;
        let object = self.store.attachment_of(caller.user_no, message_id, id).await?;
        let AttachmentSettings { link_ttl, objects, .. } = &self.attachments.settings;
        Ok(match objects {
            ObjectSettings::Bucket(bucket) => bucket.download(id, object, *link_ttl).await?,
            ObjectSettings::Folder(_) => {
                let expires_at = self.store.now() + *link_ttl;
                let token = self.opaque_tokens.seal(&download_scope(id), &payload(id, expires_at));
                AttachmentRequest {
                    method: "GET",
                    url: format!("/v1/attachments/{id}/content?token={token}"),
                    headers: Vec::new(),
                    expires_at,
                }
            }
        })
    }

    /// Whether a token is one by which an attachment may be uploaded to this server.
    pub(super) fn may_upload(&self, token: &str) -> bool {
        self.opened(UPLOAD, token).is_some()
    }

    /// The attachment that a token stands for, unless it has expired.
    fn opened(&self, scope: &str, token: &str) -> Option<Uuid> {
        let carried = self.opaque_tokens.open(scope, token)?;
        let (id, expires) = carried.split_at_checked(16)?;
        let expires = i64::from_be_bytes(expires.try_into().ok()?);
        let is_good = self.store.now().unix_timestamp() < expires;
        is_good.then(|| Uuid::from_slice(id).ok()).flatten()
    }

    /// Takes the bytes of an attachment.
    ///
    /// Errors: [`Error::InvalidToken`]; [`Error::InvalidArgument`] where they are not what it was created for;
    /// [`Error::AttachmentNotFound`].
    pub async fn upload_attachment(
        &self,
        token: Option<&str>,
        attachment_id: &str,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<()> {
        let id = parse_uuid("attachment_id", attachment_id)?;
        let opened = token.and_then(|token| self.opened(UPLOAD, token));
        if opened != Some(id) {
            return Err(Error::InvalidToken("the token to upload has expired or is for another"));
        }
        let folder = self.attachments.folder()?;
        let (attachment, object) = self.store.attachment(id).await?;
        if object.is_some() {
            // Messages may have it: it stays as it is.
            return Ok(());
        }
        let object = folder.write(&attachment, body).await?;
        if self.store.attachment_stored(id, object).await? {
            return Ok(());
        }
        // Another upload was faster, or the attachment is gone.
        folder.delete_object(id, object).await?;
        self.store.attachment(id).await.map(drop)
    }

    /// Opens the bytes of an attachment by a link.
    ///
    /// Errors: [`Error::InvalidToken`] for a link that has expired; [`Error::AttachmentNotFound`] where no message has it any
    /// more.
    pub async fn open_attachment(
        &self,
        attachment_id: &str,
        token: &str,
    ) -> Result<OpenAttachment> {
        let id = parse_uuid("attachment_id", attachment_id)?;
        if self.opened(&download_scope(id), token) != Some(id) {
            return Err(Error::InvalidToken("the link has expired; ask for another"));
        }
        let folder = self.attachments.folder()?;
        let (attachment, object) = self.store.used_attachment(id).await?;
        let file = folder.open(id, object).await?;
        Ok(OpenAttachment { attachment, file })
    }

    /// The attachments that a message of `owner` names, each uploaded.
    ///
    /// Errors: [`Error::InvalidArgument`], [`Error::AttachmentNotFound`].
    pub(super) async fn attachments_named(
        &self,
        owner: UserNo,
        ids: &[String],
    ) -> Result<Arc<[Attachment]>> {
        let ids = Attachment::parse_ids("attachments", ids)?;
        if ids.is_empty() {
            return Ok(Arc::default());
        }
        let found = self.store.own_attachments(owner, &ids).await?;
        let mut attachments = Vec::with_capacity(found.len());
        for (attachment, object) in found {
            if object.is_none() {
                self.find_uploaded(&attachment).await?;
            }
            attachments.push(attachment);
        }
        Ok(attachments.into())
    }

    /// Looks whether an attachment has come that clients upload to a bucket.
    async fn find_uploaded(&self, attachment: &Attachment) -> Result<()> {
        let id = attachment.attachment_id;
        let missing = || Error::invalid("attachments", format!("{id} is not uploaded yet"));
        let ObjectSettings::Bucket(bucket) = &self.attachments.settings.objects else {
            return Err(missing());
        };
        let (store, bucket) = (self.store.clone(), bucket.clone());
        let attachment = attachment.clone();
        // It goes on when the sender gives up, so that a retry finds a large one that was copied meanwhile.
        let kept = tokio::spawn(async move { keep(&store, &bucket, &attachment).await });
        if kept.await.map_err(Error::internal)?? { Ok(()) } else { Err(missing()) }
    }

    /// Deletes the attachments that no message has any more: how many, and their bytes. One that cannot be deleted now
    /// stays for the next time and holds up no other.
    ///
    /// Errors: the first that came up.
    pub(super) async fn collect_attachments(&self) -> Result<(i64, i64)> {
        let settled = self.settle_uploads().await;
        while self.store.mark_unused_attachments(BATCH).await? {}
        let (mut count, mut bytes, mut failed) = (0, 0, settled.err());
        let mut after = Uuid::nil();
        loop {
            let going = self.store.going_attachments(after, BATCH).await?;
            let Some((last, _)) = going.last() else { break };
            after = *last;
            let mut gone = Vec::with_capacity(going.len());
            for (id, size) in going {
                match self.attachments.delete(id).await {
                    Ok(()) => {
                        gone.push(id);
                        count += 1;
                        bytes += size;
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            self.store.forget_attachments(&gone).await?;
        }
        failed.map_or(Ok((count, bytes)), Err)
    }

    /// Deletes what was uploaded to a bucket beside what is kept, once that can no longer be done.
    async fn settle_uploads(&self) -> Result<()> {
        let (mut after, mut failed) = (Uuid::nil(), None);
        loop {
            let open = self.store.open_uploads(after, BATCH).await?;
            let Some((last, _)) = open.last() else { break };
            after = last.attachment_id;
            let mut settled = Vec::with_capacity(open.len());
            for (attachment, object) in open {
                match self.attachments.settle(&attachment, object.is_some()).await {
                    Ok(()) => settled.push(attachment.attachment_id),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            self.store.close_uploads(&settled).await?;
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Takes an upload to a bucket out of its client's reach; whether there is one.
async fn keep(store: &Store, bucket: &Bucket, attachment: &Attachment) -> Result<bool> {
    let id = attachment.attachment_id;
    let Some(object) = bucket.keep(attachment).await? else { return Ok(false) };
    if !store.attachment_stored(id, object).await? {
        // Another message that names it was faster; or it is gone, and then the message is refused for that.
        bucket.delete_object(id, object).await?;
        store.attachment(id).await?;
        return Ok(true);
    }
    if let Err(error) = bucket.settle(attachment, true).await {
        // It goes with the attachment.
        tracing::warn!(%error, "an upload that was copied cannot be deleted");
    }
    Ok(true)
}

fn download_scope(attachment_id: Uuid) -> String {
    format!("attachment/download/{attachment_id}")
}

/// Which attachment a token is for, and until when.
fn payload(attachment_id: Uuid, expires_at: OffsetDateTime) -> Vec<u8> {
    [attachment_id.as_bytes().as_slice(), &expires_at.unix_timestamp().to_be_bytes()].concat()
}
