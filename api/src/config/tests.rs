use std::fs;
use std::path::Path;

use super::*;

mod issuers;

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    let pair = |&(name, value): &(&str, &str)| (name.into(), value.into());
    variables.iter().map(pair).collect()
}

fn load(flags: &Flags, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    Settings::load(flags, environment(variables))
}

fn refusal(flags: &Flags, variables: &[(&str, &str)]) -> String {
    load(flags, variables).unwrap_err().to_string()
}

fn set(assignments: &[(&str, &str)]) -> Flags {
    let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    Flags { set: assignments.iter().map(owned).collect(), ..Flags::default() }
}

/// A settings file, and the flags that name it. The file goes with the returned folder.
fn file(content: &str) -> (tempfile::TempDir, Flags) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imd.toml");
    fs::write(&path, content).unwrap();
    let flags = Flags { config: Some(path), ..Flags::default() };
    (folder, flags)
}

#[test]
fn nothing_configured_gives_the_listed_defaults() {
    let settings = load(&Flags::default(), &[]).unwrap();
    assert_eq!(settings.data_dir, PathBuf::from("./imd-data"));
    assert_eq!(settings.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(settings.admin.listen, "127.0.0.1:8081".parse().unwrap());
    assert!(settings.database.url.is_none());
    assert_eq!(settings.database.pool_size, 16);
    assert_eq!(settings.tokens.access_ttl, Duration::from_mins(15));
    assert_eq!(settings.tokens.refresh_ttl, Duration::from_hours(30 * 24));
    assert_eq!(settings.messages.max_body_bytes, 16384);
    assert_eq!(settings.messages.recall_window, Duration::from_mins(2));
    assert_eq!(settings.messages.dedupe_for, Duration::from_hours(90 * 24));
    assert!(!settings.messages.read_receipts);
    assert_eq!(settings.messages.if_blocked, IfBlocked::Refuse);
    assert!(settings.page);
    assert_eq!(settings.cors.allowed_origins, Origins::None);
    assert_eq!(settings.streams.heartbeat, Duration::from_secs(30));
    assert_eq!(settings.shutdown.grace, Duration::from_secs(10));
    assert_eq!(settings.log.level, "info,refinery_core=warn,tokio_postgres=warn");
    assert_eq!(settings.log.format, LogFormat::Text);
    assert!(!settings.log.access);
    assert_eq!(settings.log.slow, Duration::from_secs(1));
    let terminals: Vec<_> =
        settings.terminals.limits.iter().map(|(t, n)| (t.as_str(), *n)).collect();
    assert_eq!(terminals, [("pad", 1), ("pc", 1), ("phone", 1), ("watch", 1), ("web", 3)]);
    assert_eq!(Settings::default().to_masked_toml(), settings.to_masked_toml());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let (_folder, mut flags) = file(
        "listen = \"127.0.0.1:1\"\n[database]\npool_size = 4\n[streams]\nheartbeat = \"40s\"\n",
    );
    let variables = [("IMD_LISTEN", "127.0.0.1:2"), ("IMD_DATABASE_POOL_SIZE", "5")];
    flags.listen = Some("127.0.0.1:3".parse().unwrap());

    let settings = load(&flags, &variables).unwrap();
    assert_eq!(settings.listen.port(), 3);
    assert_eq!(settings.database.pool_size, 5);
    assert_eq!(settings.streams.heartbeat, Duration::from_secs(40));
}

#[test]
fn every_listed_setting_can_be_set_by_its_variable_and_by_a_flag() {
    let other = |key: &str| match key {
        "database.url" => "postgresql://db/imd",
        "bus.url" => "nats://bus:4222",
        "attachments.folder" => "/srv/attachments",
        "attachments.types" => "image/*,application/pdf",
        "attachments.region" => "eu-central-1",
        "attachments.link_ttl" => "1m",
        "append.lanes" => "3",
        "pg_bin" => "/opt/postgresql/bin",
        "listen" => "127.0.0.1:7",
        "admin.listen" => "127.0.0.1:9",
        "log.format" => "json",
        "login.passwords"
        | "page"
        | "presence.terminal_types"
        | "messages.search"
        | "database.migrate" => "false",
        "insecure_listen"
        | "messages.read_receipts"
        | "messages.keep_edits"
        | "limits.loopback"
        | "log.access"
        | "webhooks.allow_private" => "true",
        "limits.header_bytes" => "65536",
        "limits.streams_per_connection" | "limits.calls" => "170",
        "limits.unread_bytes" => "2097152",
        "limits.header_timeout"
        | "limits.call_timeout"
        | "limits.keepalive"
        | "shutdown.delay"
        | "log.slow"
        | "webhooks.timeout" => "7s",
        "trusted_proxies" => "10.0.0.0/8,192.0.2.7",
        "push.web_push_subject" => "mailto:ops@example.com",
        "push.web_push_services" | "push.apns_url" | "push.fcm_url" => "https://push.example.com",
        "policy.url" => "https://policy.example.com/",
        "policy.key" => "/etc/imd/policy.key",
        "policy.timeout" => "2s",
        "policy.on_failure" => "refuse",
        "policy.kinds" => "group",
        "log.level" => "warn",
        "cors.allowed_origins" => "https://a.example,http://localhost:5173",
        "data_dir" => "/srv/imd",
        "retention.purge_after"
        | "messages.dedupe_for"
        | "tokens.access_ttl"
        | "streams.heartbeat"
        | "presence.grace"
        | "webhooks.undelivered_after"
        | "push.delay"
        | "shutdown.grace" => "7m",
        "tokens.refresh_ttl" | "sessions.keep_ended" | "audit.keep" | "webhooks.keep" => "40days",
        "messages.recall_window" | "messages.edit_window" => "0s",
        "messages.if_blocked" => "drop",
        "messages.from" | "groups.invite_from" | "presence.visible_to" => "contacts",
        "terminals.exclusive" => "phone+pad",
        _ => "17",
    };
    // Certificate and key only come together, and what belongs to a database or bus of one's own.
    for setting in SETTINGS.iter().filter(|setting| {
        !setting.key.contains("tls.")
            && !setting.key.starts_with("push.webhook_")
            && ![
                "attachments.bucket",
                "attachments.endpoint",
                "attachments.key",
                "attachments.key_id",
            ]
            .contains(&setting.key)
            && (!setting.key.starts_with("push.apns_") || setting.key == "push.apns_url")
            && !["database.ca", "database.read_url", "bus.ca", "bus.cert", "bus.key"]
                .contains(&setting.key)
    }) {
        let value = other(setting.key);
        let by_variable = load(&Flags::default(), &[(&setting.variable(), value)]).unwrap();
        let by_flag = load(&set(&[(setting.key, value)]), &[]).unwrap();
        let changed = by_variable.to_masked_toml();
        assert_ne!(changed, Settings::default().to_masked_toml(), "{}", setting.key);
        assert_eq!(changed, by_flag.to_masked_toml(), "{}", setting.key);
    }
}

#[test]
fn what_is_said_of_a_bucket_fits_together() {
    let bucket = ("attachments.bucket", "s3://files/of-imd");
    let key = ("attachments.key", "/run/key");
    let id = ("attachments.key_id", "id");
    for good in [
        &[bucket][..],
        &[bucket, key, id, ("attachments.endpoint", "http://minio:9000")],
        &[("attachments.bucket", "gs://files"), key],
        &[("attachments.bucket", "az://files"), ("attachments.key_id", "account"), key],
    ] {
        load(&set(good), &[]).unwrap();
    }
    for (wrong, setting) in [
        (&[key, id][..], "attachments.bucket"),
        (&[bucket, ("attachments.folder", "/srv")], "exclude each other"),
        (&[bucket, key], "key_id"),
        (&[bucket, ("attachments.endpoint", "minio:9000")], "attachments.endpoint"),
        (&[("attachments.bucket", "https://files.example")], "attachments.bucket"),
        (&[("attachments.bucket", "s3:///folder")], "attachments.bucket"),
        (&[("attachments.types", "image")], "attachments.types"),
        (&[("attachments.link_ttl", "6m")], "attachments.link_ttl"),
        (&[("attachments.max_bytes", "5368709121")], "attachments.max_bytes"),
    ] {
        let refused = refusal(&set(wrong), &[]);
        assert!(refused.contains(setting), "{refused}");
    }
}

#[test]
fn the_printed_settings_can_be_loaded_again() {
    let printed = Settings::default().to_masked_toml();
    let (_folder, flags) = file(&printed);
    assert_eq!(load(&flags, &[]).unwrap().to_masked_toml(), printed);
}

#[test]
fn the_file_can_be_named_by_flag_or_variable_and_must_then_exist() {
    let (folder, flags) = file("[log]\nformat = \"json\"\n");
    let path = folder.path().join("imd.toml");
    let by_variable = load(&Flags::default(), &[("IMD_CONFIG", path.to_str().unwrap())]).unwrap();
    assert_eq!(by_variable.log.format, LogFormat::Json);

    fs::remove_file(path).unwrap();
    assert!(refusal(&flags, &[]).contains("imd.toml"));
}

#[test]
fn an_unknown_variable_is_refused_with_the_nearest_known_one() {
    let message = refusal(&Flags::default(), &[("IMD_DATABASE_ULR", "postgresql://db/imd")]);
    assert_eq!(
        message,
        "unknown environment variable IMD_DATABASE_ULR; did you mean IMD_DATABASE_URL?"
    );
}

#[test]
fn other_programs_variables_and_empty_ones_are_ignored() {
    let variables = [("IMCTL_SERVER", "x"), ("PATH", "/bin"), ("IMD_DATABASE_URL", "")];
    let settings = load(&Flags::default(), &variables).unwrap();
    assert!(settings.database.url.is_none());
}

#[test]
fn an_unknown_key_is_refused_with_its_file_and_the_nearest_known_one() {
    for (content, key, nearest) in [
        ("[database]\npoolsize = 3\n", "database.poolsize", "database.pool_size"),
        ("listne = \"127.0.0.1:1\"\n", "listne", "listen"),
        ("[tokns]\naccess_ttl = \"1m\"\n", "tokns.access_ttl", "tokens.access_ttl"),
    ] {
        let (folder, flags) = file(content);
        let path = folder.path().join("imd.toml");
        let expected =
            format!("unknown setting `{key}` in {}; did you mean `{nearest}`?", path.display());
        assert_eq!(refusal(&flags, &[]), expected);
    }
    assert_eq!(
        refusal(&set(&[("log.levle", "info")]), &[]),
        "unknown setting `log.levle` in --set; did you mean `log.level`?"
    );
}

#[test]
fn terminal_types_can_be_added_in_every_place() {
    let (_folder, mut flags) = file("[terminals]\nphone = 2\n");
    flags.set = set(&[("terminals.car-2", "4")]).set;
    let settings = load(&flags, &[("IMD_TERMINALS_TV", "3")]).unwrap();
    assert_eq!(settings.terminals.limits["phone"], 2);
    assert_eq!(settings.terminals.limits["tv"], 3);
    assert_eq!(settings.terminals.limits["car-2"], 4);
    assert_eq!(settings.terminals.limits["web"], 3);
}

#[test]
fn terminal_types_can_exclude_each_other_in_every_place() {
    let groups = [["pad", "phone"], ["pc", "web"]];
    let (_folder, flags) = file("[terminals]\nexclusive = [['phone', 'pad'], ['pc', 'web']]\n");
    let from_file = load(&flags, &[]).unwrap();
    let variable = [("IMD_TERMINALS_EXCLUSIVE", "phone+pad, pc+web")];
    let from_variable = load(&Flags::default(), &variable).unwrap();
    for settings in [&from_file, &from_variable] {
        let exclusive: Vec<Vec<_>> =
            settings.terminals.exclusive.0.iter().map(|g| g.iter().collect()).collect();
        assert_eq!(exclusive, groups);
        assert_eq!(settings.terminals.excluded_by("pad"), ["phone"]);
        assert!(settings.terminals.excluded_by("watch").is_empty());
    }
    let (_folder, again) = file(&from_file.to_masked_toml());
    assert_eq!(load(&again, &[]).unwrap().terminals.exclusive, from_file.terminals.exclusive);
    for groups in ["phone", "phone+phone", "phone+toaster", "phone+pad,pad+pc", ""] {
        let message = refusal(&set(&[("terminals.exclusive", groups)]), &[]);
        assert!(message.starts_with("invalid terminals.exclusive: "), "{groups}: {message}");
    }
}

#[test]
fn a_listener_that_others_reach_speaks_tls_unless_told_otherwise() {
    let open = |key| (key, "0.0.0.0:7443");
    for (key, tls) in [("listen", "tls"), ("admin.listen", "admin.tls")] {
        let message = refusal(&set(&[open(key)]), &[]);
        assert!(message.starts_with(&format!("invalid {key}: other machines reach")), "{message}");
        let (cert, private) = (format!("{tls}.cert"), format!("{tls}.key"));
        let secured = [open(key), (&*cert, "a.pem"), (&*private, "a.key")];
        assert!(load(&set(&secured), &[]).is_ok());
        assert!(load(&set(&[open(key), ("insecure_listen", "true")]), &[]).is_ok());
        for half in [(&*cert, "a.pem"), (&*private, "a.key")] {
            assert!(refusal(&set(&[half]), &[]).contains("belong together"));
        }
    }
    let variables = [("IMD_TLS_CERT", "a.pem"), ("IMD_TLS_KEY", "a.key")];
    let settings = load(&Flags::default(), &variables).unwrap();
    assert_eq!(settings.tls.cert, Some(PathBuf::from("a.pem")));
    assert!(refusal(&set(&[("admin.tls.client_ca", "ca.pem")]), &[]).contains("belong together"));
}

#[test]
fn a_value_out_of_its_limits_is_refused_by_name() {
    for (key, value) in [
        ("database.pool_size", "0"),
        ("database.pool_size", "81"),
        ("worker_threads", "0"),
        ("tokens.access_ttl", "0s"),
        ("tokens.access_ttl", "2days"),
        ("tokens.refresh_ttl", "1m"),
        ("messages.max_body_bytes", "0"),
        ("messages.max_body_bytes", "1048577"),
        ("streams.heartbeat", "11m"),
        ("shutdown.grace", "1h"),
        ("terminals.web", "0"),
        ("terminals.Web", "1"),
        ("log.level", "imd=loud"),
        ("admin.listen", "127.0.0.1:8080"),
        ("database.url", "mysql://db/imd"),
        ("database.read_url", "postgresql://standby/imd"),
    ] {
        let message = refusal(&set(&[(key, value)]), &[]);
        assert!(message.starts_with(&format!("invalid {key}: ")), "{message}");
    }
}

#[test]
fn a_byte_that_is_not_utf8_is_refused_with_its_place() {
    let (folder, flags) = file("");
    let content = b"# caf\xc3\xa9\n[log]\nlevel = \"\xc3\xa9\xe9\"\n";
    fs::write(folder.path().join("imd.toml"), content).unwrap();
    let message = refusal(&flags, &[]);
    assert!(message.contains("imd.toml, line 3, column 11: the byte 0xe9"), "{message}");
}

#[test]
fn what_editors_and_files_add_is_harmless() {
    let (_folder, flags) = file("\u{feff}page = false\r\n[log]\r\nlevel = \"warn\"\r\n");
    let settings = load(&flags, &[("IMD_DATABASE_URL", "postgresql://db/imd\r\n")]).unwrap();
    assert_eq!((settings.page, settings.log.level.as_str()), (false, "warn"));
    assert!(settings.to_masked_toml().contains("url = \"postgresql://db/imd\"\n"));
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_place() {
    for (key, value) in [
        ("database.pool_size", "many"),
        ("database.pool_size", "-1"),
        ("messages.max_body_bytes", "1.5"),
        ("streams.heartbeat", "30"),
        ("terminals.web", "three"),
        ("listen", "localhost"),
        ("log.format", "xml"),
        ("page", "perhaps"),
        ("cors.allowed_origins", "a.example"),
        ("cors.allowed_origins", "https://a.example/"),
        ("cors.allowed_origins", "https://a.example, *"),
    ] {
        let message = refusal(&set(&[(key, value)]), &[]);
        let place = format!(" for key `{key}` in the flags");
        assert!(message.ends_with(&place), "{message}");
    }
}

#[test]
fn a_large_pool_is_allowed_on_a_server_of_ones_own() {
    let flags = set(&[("database.pool_size", "500"), ("database.url", "postgresql://db/imd")]);
    assert_eq!(load(&flags, &[]).unwrap().database.pool_size, 500);
}

#[test]
fn passwords_are_masked_wherever_the_url_has_them() {
    for (url, shown) in [
        ("postgresql://imd@db/imd", "postgresql://imd@db/imd"),
        ("postgresql://imd:pa55@db:5432/imd", "postgresql://imd:***@db:5432/imd"),
        (
            "postgres://imd:pa%4055@a:1,b:2/imd?sslmode=prefer",
            "postgres://imd:***@a:1,b:2/imd?sslmode=prefer",
        ),
        (
            "postgresql://imd@db/imd?password=pa55&connect_timeout=3",
            "postgresql://imd@db/imd?password=***&connect_timeout=3",
        ),
        ("postgresql://imd:pa55@%2Frun%2Fpg/imd", "postgresql://imd:***@%2Frun%2Fpg/imd"),
        ("host=db user=imd password=pa55", "***"),
        ("host=db user=imd", "host=db user=imd"),
    ] {
        let settings = load(&Flags::default(), &[("IMD_DATABASE_URL", url)]).unwrap();
        let printed = settings.to_masked_toml();
        assert!(printed.contains(&format!("url = \"{shown}\"\n")), "{printed}");
        assert!(!printed.contains("55"), "{printed}");
        assert!(!format!("{settings:?}").contains("55"));
    }
}

#[test]
fn a_private_database_is_left_half_of_the_cores() {
    let threads = |variables: &[(&str, &str)]| {
        let settings = load(&Flags::default(), variables).unwrap();
        [1, 2, 3, 8].map(|cores| settings.worker_threads_on(cores))
    };
    let elsewhere = ("IMD_DATABASE_URL", "postgresql://db/imd");
    assert_eq!(threads(&[]), [1, 1, 2, 4]);
    assert_eq!(threads(&[elsewhere]), [1, 2, 3, 8]);
    assert_eq!(threads(&[elsewhere, ("IMD_WORKER_THREADS", "5")]), [5; 4]);
}

#[test]
fn a_bad_database_url_is_not_quoted() {
    let message =
        refusal(&Flags::default(), &[("IMD_DATABASE_URL", "postgresql://imd:pa55@db:x/imd")]);
    assert!(!message.contains("55"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_unicode_is_named() {
    use std::os::unix::ffi::OsStringExt;

    let value = OsString::from_vec(vec![0xff]);
    let error = Settings::load(&Flags::default(), [("IMD_LISTEN".into(), value)]).unwrap_err();
    assert_eq!(error.to_string(), "environment variable IMD_LISTEN is not valid UTF-8");
}

#[test]
fn flags_are_parsed_from_the_command_line() {
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        flags: Flags,
    }
    let arguments =
        ["imd", "--listen", "[::1]:7", "--set", "log.format=json", "--set", "terminals.tv=2"];
    let settings = load(&Command::parse_from(arguments).flags, &[]).unwrap();
    assert_eq!(settings.listen, "[::1]:7".parse().unwrap());
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.terminals.limits["tv"], 2);
    assert!(Command::try_parse_from(["imd", "--set", "log.format"]).is_err());
}

#[test]
fn the_settings_page_has_the_table_of_settings() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    let table = settings_as_markdown();
    assert!(
        fs::read_to_string(page).unwrap().contains(&table),
        "put into docs/settings.md:\n{table}"
    );
}

#[test]
fn authorities_and_certificates_belong_to_an_encrypted_address() {
    let ca = ("database.ca", "ca.pem");
    assert!(refusal(&set(&[ca]), &[]).contains("database.url"));
    for (mode, taken) in [
        ("", false),
        ("?sslmode=prefer", false),
        ("?sslmode=require", true),
        ("?sslmode=verify-full", true),
    ] {
        let url = format!("postgresql://imd:hush@db/imd{mode}");
        let flags = set(&[("database.url", &*url), ca]);
        assert_eq!(load(&flags, &[]).is_ok(), taken, "{mode}");
        if taken {
            let printed = load(&flags, &[]).unwrap().to_masked_toml();
            assert!(printed.contains(&url.replace("hush", "***")), "{printed}");
        }
    }
    let (cert, key) = (("bus.cert", "a.pem"), ("bus.key", "a.key"));
    for (url, taken) in [("nats://bus:4222", false), ("tls://bus:4222", true)] {
        let flags = set(&[("bus.url", url), ("bus.ca", "ca.pem"), cert, key]);
        assert_eq!(load(&flags, &[]).is_ok(), taken, "{url}");
    }
    assert!(refusal(&set(&[("bus.url", "tls://bus:4222"), cert]), &[]).contains("belong together"));
}

#[test]
fn what_is_read_again_is_taken_over_and_the_rest_is_named() {
    let mut running = load(&set(&[("database.url", "postgresql://imd:old@db/imd")]), &[]).unwrap();
    let read = set(&[
        ("database.url", "postgresql://imd:new@db/imd"),
        ("log.level", "debug"),
        ("log.slow", "5s"),
        ("log.format", "json"),
        ("admin.tls.cert", "a.pem"),
        ("admin.tls.key", "a.key"),
    ]);
    let read = load(&read, &[]).unwrap();
    let changed: Vec<_> = read.changes_from(&running).into_iter().collect();
    let all =
        ["admin.tls.cert", "admin.tls.key", "database.url", "log.format", "log.level", "log.slow"];
    assert_eq!(changed, all);
    let left: Vec<_> = running.take_over(&read).into_iter().collect();
    assert_eq!(left, ["admin.tls.cert", "admin.tls.key", "database.url", "log.format"]);
    assert_eq!(running.log.level, "debug");
}
