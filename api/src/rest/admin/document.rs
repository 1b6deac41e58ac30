//! What the OpenAPI document of the admin listener says beside the operations.

use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::rest::{document::AllRefusals, problem::Members};

const DESCRIPTION: &str = "\
For operators and for the customer's own backend, on the admin listener alone: what `im.v1.AdminService` does \
over gRPC, with the same keys, roles and audit records.

Every call carries an admin key: `authorization: Bearer <admin key>`. A call that the role of the key does not allow \
fails with 403 `permission_denied`; `role` names one that does. The header `imd-reason` may say why the call is made, for \
the audit: up to 256 characters on one line, in UTF-8; `imd-reason-bin` has the same in base64.

JSON is snake_case, times are RFC 3339, 64-bit integers are numbers. Listings are paged by `page_size`, \
`page_token` and `next_page_token`. Errors are problems as in RFC 9457, told apart by `code`. What takes its time \
answers with a JSON object for each step on a line of its own (`application/x-ndjson`); when it breaks off, the last \
line is a problem.";

#[derive(OpenApi)]
#[openapi(
    info(title = "imd administration", description = DESCRIPTION),
    tags(
        (name = "Users", description = "Accounts, their passwords and limits."),
        (name = "Sessions", description = "Everybody's sessions."),
        (name = "Messages", description = "Sending as a user or as the system; where messages have got to."),
        (name = "Broadcasts", description = "Messages to many users at a time."),
        (name = "Push", description = "Which terminals are told of messages while they have no stream."),
        (name = "Webhooks", description = "Servers of the customer's that are told of events."),
        (name = "Groups", description = "Everybody's groups."),
        (name = "Retention", description = "How far back users see."),
        (name = "Keys", description = "Keys of administrators, and those that sign access tokens."),
        (name = "Cluster", description = "Nodes, jobs, terminal types, audit."),
        (name = "Server", description = "Whether the node is well. Needs no key."),
    ),
    components(schemas(Members)),
    modifiers(&AdminKey, &AllRefusals),
)]
pub(super) struct AdminDocument;

struct AdminKey;

impl Modify for AdminKey {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("admin_key", SecurityScheme::Http(bearer));
    }
}
