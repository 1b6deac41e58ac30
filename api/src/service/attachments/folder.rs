//! Attachments in a folder of the node: for a single node, or for several nodes that share the folder.
//!
//! All that is written for an attachment is in a folder of its own, under names that are never used twice: so an upload
//! that comes late overwrites nothing, and what a crash left goes with the attachment.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use tokio::{
    fs::{self, DirBuilder, File},
    io::AsyncWriteExt,
    time::timeout,
};
use uuid::Uuid;

use crate::model::{Attachment, Error, Result, hex};

/// For how long an upload may send nothing before it is given up.
const STALLED: Duration = Duration::from_mins(1);

/// The folder. It is made with the first upload.
#[derive(Debug, Clone)]
pub(super) struct Folder(pub(super) PathBuf);

/// Deletes a file unless it is kept: also when the client goes away in the middle of its upload, which drops the future.
struct Unfinished<'a>(Option<&'a Path>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            drop(std::fs::remove_file(path));
        }
    }
}

impl Folder {
    /// Spread by the end of the id, which is random, so that no folder has too many others in it.
    fn of(&self, attachment_id: Uuid) -> PathBuf {
        let name = attachment_id.simple().to_string();
        self.0.join(&name[name.len() - 2..]).join(name)
    }

    fn path(&self, attachment_id: Uuid, object: Uuid) -> PathBuf {
        self.of(attachment_id).join(object.simple().to_string())
    }

    /// Writes an upload, and says under which name. It is on the disk when this returns; nothing is left when it fails.
    ///
    /// Errors: [`Error::InvalidArgument`] where it is not what the attachment was created for, or stops coming;
    /// [`Error::Unavailable`].
    pub(super) async fn write(
        &self,
        attachment: &Attachment,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<Uuid> {
        let object = Uuid::new_v4();
        let folder = self.of(attachment.attachment_id);
        let mut made = DirBuilder::new();
        // What users send each other is nothing for other accounts of the machine.
        let made = made.recursive(true).mode(0o700).create(&folder).await;
        made.map_err(Error::unavailable)?;
        let path = self.path(attachment.attachment_id, object);
        let mut unfinished = Unfinished(Some(&path));
        fill(&path, attachment, body).await?;
        // The names, too, have to be on the disk.
        for folder in [Some(folder.as_path()), folder.parent(), Some(&self.0)].into_iter().flatten()
        {
            let folder = File::open(folder).await.map_err(Error::unavailable)?;
            folder.sync_all().await.map_err(Error::unavailable)?;
        }
        unfinished.0 = None;
        Ok(object)
    }

    /// Opens what was uploaded.
    ///
    /// Errors: [`Error::AttachmentNotFound`] where it is gone.
    pub(super) async fn open(&self, attachment_id: Uuid, object: Uuid) -> Result<File> {
        match File::open(self.path(attachment_id, object)).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::AttachmentNotFound),
            opened => opened.map_err(Error::unavailable),
        }
    }

    /// Deletes one upload, if it is there.
    pub(super) async fn delete_object(&self, attachment_id: Uuid, object: Uuid) -> Result<()> {
        is_gone(fs::remove_file(self.path(attachment_id, object)).await)
    }

    /// Deletes all that was ever uploaded for an attachment.
    pub(super) async fn delete(&self, attachment_id: Uuid) -> Result<()> {
        is_gone(fs::remove_dir_all(self.of(attachment_id)).await)
    }
}

fn is_gone(deleted: io::Result<()>) -> Result<()> {
    match deleted {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        deleted => deleted.map_err(Error::unavailable),
    }
}

async fn fill(
    path: &Path,
    attachment: &Attachment,
    body: impl Stream<Item = io::Result<Bytes>> + Send,
) -> Result<()> {
    let mut file = File::create_new(path).await.map_err(Error::unavailable)?;
    let (mut size, mut sha) = (0_i64, Context::new(&SHA256));
    let mut body = std::pin::pin!(body);
    loop {
        let Ok(part) = timeout(STALLED, body.try_next()).await else {
            let reason = format!("stopped coming for {} s", STALLED.as_secs());
            return Err(Error::invalid("body", reason));
        };
        let Some(part) = part.map_err(Error::unavailable)? else { break };
        size = size.saturating_add(i64::try_from(part.len()).unwrap_or(i64::MAX));
        if size > attachment.size {
            break;
        }
        sha.update(&part);
        file.write_all(&part).await.map_err(Error::unavailable)?;
    }
    if size != attachment.size {
        let reason =
            format!("must have exactly {} bytes, the size it was created with", attachment.size);
        return Err(Error::invalid("body", reason));
    }
    let digest = sha.finish();
    if !attachment.sha256.is_empty() && hex(digest.as_ref()) != attachment.sha256 {
        return Err(Error::invalid("body", "must have the SHA-256 it was created with"));
    }
    file.sync_all().await.map_err(Error::unavailable)
}
