//! What a message says.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{AllOfBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, schema::Type},
};

use crate::{
    model::{self, Error},
    service::SendContent,
};

/// Text, or typed bytes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Content {
    Text {
        /// Not empty; `GET /v1/info` says how large it may be.
        #[schema(min_length = 1, examples("On my way"))]
        text: String,
    },
    Data {
        /// A media type such as `image/png`.
        #[schema(
            max_length = 127,
            pattern = "^[ -.0-~]*/[ -.0-~]*$",
            examples("application/vnd.example.card+json")
        )]
        content_type: String,
        /// The bytes, in base64 with padding. Not empty; `GET /v1/info` says how large they may be.
        #[schema(
            min_length = 4,
            content_encoding = "base64",
            pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)$"
        )]
        data: String,
    },
}

/// What a client sends as [`Content`], member by member.
#[derive(Debug, Default)]
pub(super) struct ContentMembers {
    pub(super) text: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) data: Option<String>,
}

impl ContentMembers {
    /// The content, if there is any.
    pub(super) fn into_content(self) -> Result<Option<SendContent>, Error> {
        match (self.text, self.content_type, self.data) {
            (None, None, None) => Ok(None),
            (Some(text), None, None) => Ok(Some(SendContent::Text(text))),
            (Some(_), ..) => Err(Error::invalid("text", "excludes content_type and data")),
            (None, content_type, data) => {
                let data = BASE64_STANDARD
                    .decode(data.unwrap_or_default())
                    .map_err(|error| Error::invalid("data", format!("is not base64: {error}")))?;
                let content_type = content_type.unwrap_or_default();
                Ok(Some(SendContent::Data { content_type, data: data.into() }))
            }
        }
    }
}

/// [`Content`], and nothing of the other form beside it: null counts as absent.
impl PartialSchema for ContentMembers {
    fn schema() -> RefOr<Schema> {
        let without = |members: &[&str]| {
            let absent = || ObjectBuilder::new().schema_type(Type::Null);
            members
                .iter()
                .fold(ObjectBuilder::new(), |object, name| object.property(*name, absent()))
        };
        let one_form =
            OneOfBuilder::new().item(without(&["content_type", "data"])).item(without(&["text"]));
        let content = Ref::from_schema_name(Content::name());
        AllOfBuilder::new().item(content).item(one_form).into()
    }
}

impl ToSchema for ContentMembers {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SendContent")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Content::name().into_owned(), Content::schema()));
        Content::schemas(schemas);
    }
}

impl From<&model::Content> for Content {
    fn from(content: &model::Content) -> Self {
        match content.content_type() {
            None => Self::Text { text: String::from_utf8_lossy(content.body()).into_owned() },
            Some(content_type) => Self::Data {
                content_type: content_type.to_owned(),
                data: BASE64_STANDARD.encode(content.body()),
            },
        }
    }
}

impl From<&model::Content> for ContentMembers {
    fn from(content: &model::Content) -> Self {
        match content.into() {
            Content::Text { text } => Self { text: Some(text), content_type: None, data: None },
            Content::Data { content_type, data } => {
                Self { text: None, content_type: Some(content_type), data: Some(data) }
            }
        }
    }
}
