//! Whatever is put before a parser, it answers: with what can be written again as it was, or with a
//! refusal that names the field and shows no secret.

use std::{env::temp_dir, ffi::OsString};

use imd::{
    config::{Flags, SETTINGS, Settings},
    model::{
        Content, ConversationId, Cursor, Error, MessageId, MessageIdCipher, SealedMessageId, Start,
        TimelineNo, UserId,
    },
    service::TrustedIssuer,
    store::Address,
};
use jsonwebtoken::Algorithm;
use proptest::prelude::*;

/// Strings like those that a parser takes, cut and joined in ways that it does not expect.
fn nearly(parts: &'static [&'static str]) -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => proptest::sample::select(parts).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => ".{0,8}",
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

/// Whether an error is a refusal of the field.
fn names(error: &Error, expected: &str) -> bool {
    matches!(error, Error::InvalidArgument { field, .. } if *field == expected)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cursor_reads_back_as_it_was_written(epoch in 0..i64::MAX, seq in 0..i64::MAX) {
        let cursor = Cursor { epoch, seq };
        prop_assert_eq!(Start::parse(&cursor.to_string(), 0).expect("a cursor"), Start::After(cursor));
    }

    #[test]
    fn what_is_no_cursor_is_refused(after in nearly(&["now", "0", ".", "-", "+", " "]), last: i32) {
        match Start::parse(&after, last) {
            Ok(Start::After(cursor)) => {
                prop_assert!(last == 0 && cursor.epoch >= 0 && cursor.seq >= 0);
                let again = Start::parse(&cursor.to_string(), 0).expect("a cursor");
                prop_assert_eq!(again, Start::After(cursor));
            }
            Ok(Start::Last(count)) => prop_assert!(count >= 0),
            Ok(Start::Floor) => prop_assert!(after.is_empty() || after == "0"),
            Err(error) => prop_assert!(names(&error, "after") || names(&error, "last"), "{error:?}"),
        }
    }

    #[test]
    fn a_conversation_id_reads_back_as_it_was_written(
        id in nearly(&["user:", "group:", "ann", ":", "@", "+", "=", "\u{0}", "é"]),
    ) {
        match ConversationId::parse(&id) {
            Ok(conversation) => prop_assert_eq!(conversation.to_string(), id),
            Err(error) => prop_assert!(names(&error, "conversation_id"), "{error:?}"),
        }
    }

    #[test]
    fn a_user_id_reads_back_as_it_was_written(id in nearly(&["ann", ".", "_", "@", "/", "\n"])) {
        match UserId::parse("user_id", &id) {
            Ok(user_id) => {
                prop_assert_eq!(user_id.as_str(), &id);
                prop_assert!((1..=64).contains(&id.len()) && id.is_ascii());
            }
            Err(error) => prop_assert!(names(&error, "user_id"), "{error:?}"),
        }
    }

    #[test]
    fn a_message_id_reads_back_as_it_was_written(
        key: [u8; 16],
        home: i64,
        generation: i16,
        seq in 0..1_i64 << 48,
    ) {
        let cipher = MessageIdCipher::new(&key).expect("a key");
        let id = MessageId { home: TimelineNo(home), seq, generation };
        let shown = cipher.seal(id).expect("a sealed id").to_string();
        let read = SealedMessageId::parse(&shown).expect("an id");
        prop_assert_eq!(cipher.open(read).expect("an opened id"), id);
    }

    #[test]
    fn what_is_no_message_id_is_refused(id in "[A-Za-z0-9_=+/-]{0,24}") {
        match SealedMessageId::parse(&id) {
            Ok(message_id) => prop_assert_eq!(message_id.to_string(), id),
            Err(error) => prop_assert!(names(&error, "message_id"), "{error:?}"),
        }
    }

    #[test]
    fn content_is_taken_whole_or_not_at_all(
        content_type in nearly(&["image", "/", "png", ";", " ", "\r\n", "é"]),
        data in proptest::collection::vec(any::<u8>(), 0..80),
        text in ".{0,40}",
    ) {
        const MAX: usize = 64;
        let bytes = bytes::Bytes::from(data);
        match Content::data(content_type.clone(), bytes.clone(), MAX) {
            Ok(content) => {
                prop_assert_eq!(content.content_type(), Some(&*content_type));
                prop_assert_eq!(content.body(), &bytes);
                prop_assert!(!content_type.contains(['\r', '\n']) && (1..=MAX).contains(&bytes.len()));
            }
            Err(error) => {
                prop_assert!(names(&error, "content_type") || names(&error, "data"), "{error:?}");
            }
        }
        match Content::text(text.clone(), MAX) {
            Ok(content) => prop_assert_eq!(content.body().as_ref(), text.as_bytes()),
            Err(error) => prop_assert!(names(&error, "text"), "{error:?}"),
        }
    }

    #[test]
    fn settings_in_the_environment_are_taken_or_refused_by_name(
        setting in proptest::sample::select(SETTINGS),
        value in nearly(&["0", "7m", "true", "127.0.0.1:0", "a.pem", "postgresql://u:hush-hush@h/d", "="]),
    ) {
        let variable = (OsString::from(setting.variable()), OsString::from(&value));
        if let Err(error) = Settings::load(&no_file(), [variable]) {
            let said = error.to_string();
            let is_secret = setting.key.ends_with("url");
            prop_assert!(!is_secret || !said.contains("hush-hush"), "{said}");
        }
    }

    #[test]
    fn any_settings_file_is_taken_or_refused_in_words(
        toml in nearly(&["listen", "=", "[", "]", "[[login.issuers]]", "\"", "\n", "a", "{", "}", "1.5", "#"]),
    ) {
        let file = tempfile::NamedTempFile::with_suffix(".toml").expect("a file");
        std::fs::write(file.path(), toml).expect("written");
        let flags = Flags { config: Some(file.path().to_owned()), ..Flags::default() };
        if let Err(error) = Settings::load(&flags, []) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn a_database_url_is_read_or_refused(
        url in nearly(&["postgresql://", "u:p@", "h", "/d", "?", "&", "sslmode=", "verify-full", "require", " "]),
    ) {
        if let Ok(address) = url.parse::<Address>() {
            // What asks for TLS in so many words never gets less.
            let asks = url.ends_with("?sslmode=verify-full") && url.contains("://h");
            prop_assert!(!asks || address.requires_tls(), "{url}");
        }
    }

    #[test]
    fn a_file_of_keys_is_read_or_refused_and_not_shown(
        file in nearly(&[
            "-----BEGIN PUBLIC KEY-----\n", "-----END PUBLIC KEY-----\n", "MCowBQYDK2VwAyEA", "\n",
            "{\"keys\":[", "{\"kty\":\"oct\",\"k\":\"", "aHVzaC1odXNo", "\"}", "]}", ",",
        ]),
    ) {
        let mut issuer = TrustedIssuer::new("i".into(), "a".into(), std::time::Duration::MAX, false);
        if let Err(error) = issuer.add_keys(&file, &[Algorithm::EdDSA, Algorithm::HS256]) {
            prop_assert!(!error.to_string().contains("aHVzaC1odXNo"), "{error}");
        }
    }
}

/// No settings file, wherever the tests run.
fn no_file() -> Flags {
    let empty = temp_dir().join(format!("imd-no-settings-{}.toml", std::process::id()));
    std::fs::write(&empty, "").expect("an empty file");
    Flags { config: Some(empty), ..Flags::default() }
}
