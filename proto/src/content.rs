//! What a message says stands in several messages of the contract, in a oneof of each. All become that of an entry's
//! message, and come from it.

use crate::v1::{self, message::Content};

macro_rules! contents {
    ($($message:ident::$oneof:ident),+ $(,)?) => {$(
        impl From<v1::$message::$oneof> for Content {
            fn from(content: v1::$message::$oneof) -> Self {
                match content {
                    v1::$message::$oneof::Text(text) => Self::Text(text),
                    v1::$message::$oneof::Data(data) => Self::Data(data),
                }
            }
        }

        impl From<Content> for v1::$message::$oneof {
            fn from(content: Content) -> Self {
                match content {
                    Content::Text(text) => Self::Text(text),
                    Content::Data(data) => Self::Data(data),
                }
            }
        }
    )+};
}

contents! {
    create_broadcast_request::Content,
    edit_message_request::Content,
    edit_record::Before,
    message_edit::Previous,
    message_record::Content,
    scheduled_message::Content,
    scheduled_record::Content,
    send_request::Content,
    update_scheduled_message_request::Content,
}
