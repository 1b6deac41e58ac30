//! What the OpenAPI document says beside the operations.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        self, ContentBuilder, Ref, RefOr, Response, ResponseBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    codes,
    problem::{MEDIA_TYPE, Members},
    socket::{SocketFrame, SocketRequest},
    types::{Entry, HistoryTruncated, Reconnect, SessionEnd, TimelineReset, TimelineState},
};
use crate::model::Audience;

const DESCRIPTION: &str = "\
One account on every terminal, every message on each of them, history that roams to any new device.

JSON is snake_case, times are RFC 3339, 64-bit integers are numbers (they stay below 2^53). A client \
ignores members it does not know, and so does the server. Members of a request that are left out count \
as empty.

`POST /v1/login` gives an access token, to be sent as `authorization: Bearer <access_token>`, and a \
refresh token for the next pair. Listings are paged by `page_size`, `page_token` and \
`next_page_token`. Errors are problems as in RFC 9457, told apart by `code`.";

#[derive(OpenApi)]
#[openapi(
    info(title = "imd", description = DESCRIPTION),
    tags(
        (name = "Sessions", description = "Logging in and out, and the sessions of one's own account."),
        (name = "Messages", description = "Sending and recalling, and following one's timeline."),
        (name = "History", description = "What was said before, on any device, and how far it has been read."),
        (name = "Attachments", description = "Files that messages have with them: creating, uploading and downloading them."),
        (name = "Blocks", description = "Whom one takes no messages from."),
        (name = "Contacts", description = "Whom one knows, and what one takes from whom."),
        (name = "Profiles", description = "What users show of themselves."),
        (name = "Server", description = "Facts about the server. Needs no token."),
    ),
    components(schemas(
        Members, TimelineState, Entry, HistoryTruncated, TimelineReset, SessionEnd, Reconnect,
        SocketRequest, SocketFrame,
    )),
    modifiers(&AccessToken, &Refusals, &Codes),
)]
pub(super) struct Document;

struct AccessToken;

impl Modify for AccessToken {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("access_token", SecurityScheme::Http(bearer));
        let upload = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("upload_token", SecurityScheme::Http(upload));
    }
}

/// Puts the table of codes into the description.
struct Codes;

impl Modify for Codes {
    fn modify(&self, document: &mut openapi::OpenApi) {
        document.info.description = Some(format!("{DESCRIPTION}\n\n{}", codes::table()));
    }
}

/// The problems that an operation answers with this status.
pub(super) struct Refusal<const STATUS: u16>;

impl<const STATUS: u16> IntoResponses for Refusal<STATUS> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let status = STATUS.to_string();
        let name =
            REFUSALS.iter().find(|(refusal, ..)| *refusal == status).map(|(_, name, _)| *name);
        let response = Ref::from_response_name(name.unwrap_or("Unexpected"));
        BTreeMap::from([(status, response.into())])
    }
}

/// Status, name and when it is given.
const REFUSALS: [(&str, &str, &str); 11] = [
    ("400", "BadRequest", "A field is wrong"),
    ("401", "Unauthorized", "The token or the password is missing or no good"),
    ("403", "Forbidden", "Somebody does not want it"),
    ("404", "NotFound", "There is none"),
    ("409", "Conflict", "Not as things stand"),
    ("413", "ContentTooLarge", "The body is larger than any that could be valid"),
    ("415", "UnsupportedMediaType", "The body is not JSON"),
    ("426", "UpgradeRequired", "The request opens no WebSocket"),
    ("429", "TooManyRequests", "Too much at once; try again after `retry_after`"),
    ("500", "InternalServerError", "A fault of the server's own"),
    ("503", "ServiceUnavailable", "The database does not answer; try again later"),
];

/// Those that clients get.
struct Refusals;

/// And those that administrators get.
pub(super) struct AllRefusals;

impl Modify for Refusals {
    fn modify(&self, document: &mut openapi::OpenApi) {
        add_refusals(document, Audience::Clients);
    }
}

impl Modify for AllRefusals {
    fn modify(&self, document: &mut openapi::OpenApi) {
        add_refusals(document, Audience::Administrators);
    }
}

fn add_refusals(document: &mut openapi::OpenApi, audience: Audience) {
    let components = document.components.get_or_insert_default();
    for (status, name, description) in REFUSALS {
        let schema = Ref::from_schema_name(Members::name());
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new()
            .description(format!("{description}: {}.", codes::of_status(status, audience)))
            .content(MEDIA_TYPE, content)
            .build();
        components.responses.insert(name.to_owned(), response.into());
    }
}
