//! `docs/configuration.md`, made from the table of keys.

use std::fmt::Write as _;

use super::{Config, KEYS, Key, LISTENER_KEYS, ListenerConfig};

/// The reference page of all keys, in Markdown.
pub fn reference() -> String {
    let defaults = Config::default();
    let mut page = INTRODUCTION.to_owned();
    let mut current = "";
    for key in KEYS {
        if key.section() != current {
            current = key.section();
            let _ = writeln!(page, "\n## [{current}]");
        }
        write_key(&mut page, key, &defaults);
    }
    page += LISTENER_INTRODUCTION;
    let beginning = ListenerConfig::beginning(&defaults);
    for key in LISTENER_KEYS {
        write_listener_key(&mut page, key, &beginning);
    }
    page
}

fn write_key(page: &mut String, key: &Key, defaults: &Config) {
    let _ = writeln!(page, "\n### `{}`\n", key.name);
    let _ = writeln!(page, "{}. {}\n", key.help, key.details);
    let _ = writeln!(page, "- Value: {}", key.allowed());
    let _ = writeln!(page, "- Default: `{}`", key.value(defaults));
    let _ = writeln!(page, "- Environment: `{}`", key.variable());
    let _ = match key.flag {
        Some(flag) => writeln!(page, "- Flag: `--{} {}`", key.flag_name(), flag.value_name),
        None => writeln!(page, "- Flag: `--set {}=VALUE`", key.name),
    };
}

/// A key of a table. `As X.` in its details says that it takes its value from there.
fn write_listener_key(page: &mut String, key: &Key<ListenerConfig>, beginning: &ListenerConfig) {
    let _ = writeln!(page, "\n### `{}`\n", key.name);
    let _ = writeln!(page, "{}. {}\n", key.help, key.details);
    let _ = writeln!(page, "- Value: {}", key.allowed());
    let _ = match key.details.strip_prefix("As `").and_then(|rest| rest.split_once('`')) {
        Some((elsewhere, _)) if !key.name.contains("url") && !is_own_file(key.name) => {
            writeln!(page, "- Default: that of `{elsewhere}`")
        }
        _ if key.name == "listener.url" => writeln!(page, "- Default: none"),
        _ => writeln!(page, "- Default: `{}`", key.value(beginning)),
    };
}

/// Whether a key names files that hold instead of all of `[access]`.
fn is_own_file(name: &str) -> bool {
    matches!(
        name,
        "listener.users"
            | "listener.rules"
            | "listener.mosquitto_password_file"
            | "listener.mosquitto_acl_file"
            | "listener.mosquitto_dynamic_security_file"
    )
}

const LISTENER_INTRODUCTION: &str = "
## [[listener]]

A listener that differs from the others has a table of its own, of which a file can have any number:

```toml
[[listener]]
url = \"tls://0.0.0.0:8883\"
certificate = [\"server.pem\"]
key = [\"server.key\"]

[[listener]]
url = \"tcp://192.0.2.10:1883\"
name = \"machines\"
mount_point = \"hall/\"
connections_max = 100
```

Tables stand only in a file; `--listen` and `NOCTULE_LISTEN` set the key `listen` and leave them alone. Where
there is a table and nobody sets `listen`, only the tables are listened on. A key that a table does not set has
the value that holds for all others.
";

const INTRODUCTION: &str = "\
<!-- Made from the table of keys: cargo run -- config reference > docs/configuration.md -->

# Configuration

noctule runs without any configuration. What you set comes from four places, each stronger than the next:

1. the command line: `--data-dir /var/lib/noctule`, or `--set KEY=VALUE` for any key;
2. the environment: `NOCTULE_LIMITS_PACKET_BYTES_MAX=1MiB` for `limits.packet_bytes_max`;
3. one file, named by `--config FILE` or `NOCTULE_CONFIG`; no file is read unless one of them names it;
4. the defaults below.

`noctule config show` prints the effective value of every key and where it came from; its output is itself a
valid file. `noctule config check FILE` checks a file and exits with 0 or 1. All mistakes are reported at once,
with line and column, and a start with any of them fails with exit code 2.

A file looks like this:

```toml
listen = [\"tcp://localhost:1883\", \"tcp://192.0.2.10:1883\"]
log = \"info\"

[limits]
connect_timeout = \"5s\"
packet_bytes_max = \"1MiB\"
```

- **Sizes** are a number with `B`, `KiB`, `MiB`, `GiB`, `TiB` or `PiB` (`\"8MiB\"`, `\"256 MiB\"`); a plain
  number counts bytes.
- **Durations** are a number with `ms`, `s`, `m`, `h` or `d` (`\"10s\"`, `\"5m\"`); a plain number counts seconds.
- In the environment and on the command line there are no quotes around texts, and commas separate the
  elements of an array. An environment variable that is set to nothing counts as not set.
- A variable that starts with `NOCTULE_` and is no key is an error if it looks like a misspelt one, and is
  otherwise logged and left alone.

SIGHUP has the file read again, with the certificates, keys, users and rules that it names. If anything is wrong, the
log says what, and everything stays as it is. Otherwise it is in force at once: new connections get the new certificates
and bounds, listeners come and go, and every connection that there is goes on with what it was told when it began, also
where its listener has ended; only users and rules hold for it too. `data_dir`, `http`, `durability`,
`durability_rules`, `shards`, `pin_shards`, `log_format`, `log_to`, `log_time_format`, `limits.journal_bytes_max` and
`limits.route_cache_bytes_max` need a restart; if one of them has changed, the log names it.

## Keys at the top of the file
";
