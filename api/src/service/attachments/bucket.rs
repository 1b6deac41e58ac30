//! Attachments in a bucket of a cloud: Amazon's S3 and what speaks its protocol, Google's, or Azure's.
//!
//! Clients upload and download by URLs that are signed here. Such a URL bounds neither the size of an upload nor how often
//! it is made. So clients upload to a place of their own, and before a message has the attachment, what is there is copied
//! to a name that no URL was ever given for, and then looked at: what was looked at is what stays.

use std::{fmt, sync::Arc, time::Duration};

use futures::TryStreamExt;
use http::Method;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, ObjectStore, ObjectStoreExt,
    RetryConfig,
    aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder,
    client::{HttpClient, HttpConnector},
    gcp::GoogleCloudStorageBuilder,
    path::Path,
    signer::Signer,
};
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use uuid::Uuid;

use super::disposition;
use crate::model::{Attachment, AttachmentRequest, Error, Result};

/// What the name ends with under which clients upload.
const UPLOAD: &str = "upload";

/// How long an answer of the store is tried for, all attempts together.
const TRIED_FOR: Duration = Duration::from_secs(8);

/// How often it is asked again.
const MOST_RETRIES: usize = 2;

/// How a bucket is reached.
#[derive(Debug)]
pub struct BucketSettings {
    /// `s3://bucket`, `gs://bucket` or `az://container`, perhaps with a folder in it.
    pub url: Url,
    /// Where the store is, if it is not the cloud's own.
    pub endpoint: Option<String>,
    /// The region of an S3 bucket.
    pub region: String,
    /// Of S3 the id of the key, of Azure the account.
    pub key_id: Option<String>,
    /// What requests are signed with; of Google a service account in JSON. `None` for what the environment and the machine
    /// give.
    pub key: Option<SecretString>,
    /// What makes the requests.
    pub http: Client,
}

/// A store that also signs URLs.
trait SigningStore: ObjectStore + Signer {}

impl<T: ObjectStore + Signer> SigningStore for T {}

/// A bucket, or a folder in one.
#[derive(Debug, Clone)]
pub struct Bucket {
    store: Arc<dyn SigningStore>,
    folder: Path,
    is_azure: bool,
}

/// Hands the client out that the node makes all its requests with: it trusts the authorities of the system and uses no
/// proxy.
struct OwnClient(Client);

impl fmt::Debug for OwnClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OwnClient")
    }
}

impl HttpConnector for OwnClient {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

impl Bucket {
    /// Makes no request.
    ///
    /// Errors: settings that do not fit together, and a key that cannot be read.
    pub fn new(settings: BucketSettings) -> Result<Self, object_store::Error> {
        let BucketSettings { url, endpoint, region, key_id, key, http } = settings;
        let http = OwnClient(http);
        let name = url.host_str().unwrap_or_default();
        let key = key.as_ref().map(ExposeSecret::expose_secret);
        let folder = Path::from_url_path(url.path())?;
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: MOST_RETRIES,
            retry_timeout: TRIED_FOR,
        };
        let scheme = url.scheme();
        let store: Arc<dyn SigningStore> = match (scheme, key) {
            ("s3", key) => {
                let mut store = match key {
                    None => AmazonS3Builder::from_env(),
                    Some(key) => AmazonS3Builder::new()
                        .with_access_key_id(key_id.unwrap_or_default())
                        .with_secret_access_key(key),
                };
                if let Some(endpoint) = endpoint {
                    store = store.with_allow_http(endpoint.starts_with("http://"));
                    store = store.with_endpoint(endpoint);
                }
                // Not everything that speaks S3 deletes many objects in one request.
                let store = store.with_disable_bulk_delete(true).with_region(region);
                let store = store.with_bucket_name(name).with_retry(retry);
                Arc::new(store.with_http_connector(http).build()?)
            }
            ("gs", key) => {
                let mut store = match key {
                    None => GoogleCloudStorageBuilder::from_env(),
                    Some(key) => GoogleCloudStorageBuilder::new().with_service_account_key(key),
                };
                if let Some(endpoint) = &endpoint {
                    store = store.with_base_url(endpoint);
                }
                let store = store.with_bucket_name(name).with_retry(retry);
                Arc::new(store.with_http_connector(http).build()?)
            }
            (_, key) => {
                let mut store = match key {
                    None => MicrosoftAzureBuilder::from_env(),
                    Some(key) => MicrosoftAzureBuilder::new().with_access_key(key),
                };
                if let Some(account) = key_id {
                    store = store.with_account(account);
                }
                if let Some(endpoint) = endpoint {
                    store = store.with_allow_http(endpoint.starts_with("http://"));
                    store = store.with_endpoint(endpoint);
                }
                let store = store.with_container_name(name).with_retry(retry);
                Arc::new(store.with_http_connector(http).build()?)
            }
        };
        Ok(Self { store, folder, is_azure: scheme == "az" })
    }

    fn of(&self, attachment_id: Uuid) -> Path {
        self.folder.clone().join(attachment_id.to_string())
    }

    fn upload_path(&self, attachment_id: Uuid) -> Path {
        self.of(attachment_id).join(UPLOAD)
    }

    fn path(&self, attachment_id: Uuid, object: Uuid) -> Path {
        self.of(attachment_id).join(object.to_string())
    }

    /// A request by which a client uploads an attachment.
    pub(super) async fn upload(
        &self,
        attachment: &Attachment,
        good_for: Duration,
    ) -> Result<AttachmentRequest> {
        let path = self.upload_path(attachment.attachment_id);
        let headers = if self.is_azure {
            vec![
                ("x-ms-blob-type", "BlockBlob".to_owned()),
                ("x-ms-blob-content-type", attachment.content_type.clone()),
                ("x-ms-blob-content-disposition", disposition(&attachment.file_name)),
            ]
        } else {
            vec![
                ("content-type", attachment.content_type.clone()),
                ("content-disposition", disposition(&attachment.file_name)),
            ]
        };
        Ok(AttachmentRequest { headers, ..self.signed(Method::PUT, &path, good_for).await? })
    }

    /// A request by which a client downloads it.
    pub(super) async fn download(
        &self,
        attachment_id: Uuid,
        object: Uuid,
        good_for: Duration,
    ) -> Result<AttachmentRequest> {
        self.signed(Method::GET, &self.path(attachment_id, object), good_for).await
    }

    async fn signed(
        &self,
        method: Method,
        path: &Path,
        good_for: Duration,
    ) -> Result<AttachmentRequest> {
        let expires_at = OffsetDateTime::now_utc() + good_for;
        let name = if method == Method::PUT { "PUT" } else { "GET" };
        let url = self.store.signed_url(method, path, good_for).await.map_err(failed)?;
        Ok(AttachmentRequest { method: name, url: url.into(), headers: Vec::new(), expires_at })
    }

    /// Takes what a client has uploaded out of its reach, and says under which name it stays; `None` where nothing was
    /// uploaded.
    ///
    /// Errors: [`Error::InvalidArgument`] for `attachments` where it is not what the attachment was created for.
    pub(super) async fn keep(&self, attachment: &Attachment) -> Result<Option<Uuid>> {
        let object = Uuid::new_v4();
        let attachment_id = attachment.attachment_id;
        let path = self.path(attachment_id, object);
        match self.store.copy(&self.upload_path(attachment_id), &path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            copied => copied.map_err(failed)?,
        }
        if let Some(misfit) = self.misfit(attachment, &path).await? {
            self.delete_path(&path).await?;
            return Err(Error::invalid("attachments", misfit));
        }
        Ok(Some(object))
    }

    /// In what an object differs from what the attachment was created for.
    async fn misfit(&self, attachment: &Attachment, path: &Path) -> Result<Option<String>> {
        let found = self.store.get_opts(path, GetOptions::new().with_head(true)).await;
        let found = found.map_err(failed)?;
        let (size, id) = (found.meta.size, attachment.attachment_id);
        Ok(if i64::try_from(size) != Ok(attachment.size) {
            Some(format!("{id} was uploaded with {size} bytes and created for {}", attachment.size))
        } else if !has(&found.attributes, &Attribute::ContentType, &attachment.content_type) {
            Some(format!("{id} was uploaded with another content type than it was created for"))
        } else if !has(
            &found.attributes,
            &Attribute::ContentDisposition,
            &disposition(&attachment.file_name),
        ) {
            // A browser that follows a link would show it as a page of the store's.
            Some(format!("{id} was uploaded without the headers that its upload needs"))
        } else {
            None
        })
    }

    /// Deletes what a client has uploaded, once it can no longer do so: unless no message has the attachment yet, and it is
    /// what the attachment was created for.
    pub(super) async fn settle(&self, attachment: &Attachment, is_kept: bool) -> Result<()> {
        let path = self.upload_path(attachment.attachment_id);
        let is_good = !is_kept
            && match self.store.head(&path).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(()),
                found => i64::try_from(found.map_err(failed)?.size) == Ok(attachment.size),
            };
        if is_good { Ok(()) } else { self.delete_path(&path).await }
    }

    /// Deletes one object, if it is there.
    pub(super) async fn delete_object(&self, attachment_id: Uuid, object: Uuid) -> Result<()> {
        self.delete_path(&self.path(attachment_id, object)).await
    }

    /// Deletes all that was ever uploaded for an attachment.
    pub(super) async fn delete(&self, attachment_id: Uuid) -> Result<()> {
        let listed = self.store.list(Some(&self.of(attachment_id)));
        let listed: Vec<_> = listed.try_collect().await.map_err(failed)?;
        for object in listed {
            self.delete_path(&object.location).await?;
        }
        Ok(())
    }

    async fn delete_path(&self, path: &Path) -> Result<()> {
        match self.store.delete(path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            deleted => deleted.map_err(failed),
        }
    }
}

fn has(attributes: &Attributes, attribute: &Attribute, value: &str) -> bool {
    attributes.get(attribute).is_some_and(|found| found.as_ref() == value)
}

fn failed(error: object_store::Error) -> Error {
    Error::unavailable(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(url: &str) -> Bucket {
        let settings = BucketSettings {
            url: url.parse().unwrap(),
            endpoint: None,
            region: "eu-central-1".to_owned(),
            key_id: Some("someone".to_owned()),
            key: Some("c2VjcmV0".to_owned().into()),
            http: Client::new(),
        };
        Bucket::new(settings).unwrap()
    }

    #[tokio::test]
    async fn clients_upload_into_the_folder_and_download_from_it() {
        let (s3, az) = (bucket("s3://files/of-imd"), bucket("az://files/of-imd/"));
        let content_type = "text/plain".to_owned();
        let told = Attachment::new("a b".to_owned(), content_type, 1, "").unwrap();
        let (id, object) = (told.attachment_id, Uuid::new_v4());
        for (bucket, at, headers) in [
            (
                &s3,
                "https://s3.eu-central-1.amazonaws.com/files",
                ["content-type", "content-disposition"].as_slice(),
            ),
            (
                &az,
                "https://someone.blob.core.windows.net/files",
                &["x-ms-blob-type", "x-ms-blob-content-type", "x-ms-blob-content-disposition"],
            ),
        ] {
            let upload = bucket.upload(&told, Duration::from_secs(9)).await.unwrap();
            let begin = format!("{at}/of-imd/{id}/upload?");
            assert!(upload.url.starts_with(&begin), "{}", upload.url);
            let named: Vec<&str> = upload.headers.iter().map(|(name, _)| *name).collect();
            assert_eq!((upload.method, named.as_slice()), ("PUT", headers));
            assert!(upload.headers.iter().any(|(_, value)| value.ends_with("UTF-8''a%20b")));
            let download = bucket.download(id, object, Duration::from_secs(9)).await.unwrap();
            let begin = format!("{at}/of-imd/{id}/{object}?");
            assert!(download.url.starts_with(&begin), "{}", download.url);
            assert_eq!((download.method, download.headers.len()), ("GET", 0));
        }
    }
}
