//! Where settings come from, and which are refused.

use std::fs;
use std::net::Ipv4Addr;

use replica::Flush;

use super::load::{Overrides, load};
use super::*;

fn from(file: &str, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("apogee.toml");
    fs::write(&path, file).expect("it is writable");
    let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    load(Some(&path), variables, &Overrides::default())
}

fn refused(file: &str, variables: &[(&str, &str)]) -> String {
    format!("{:#}", from(file, variables).expect_err("it must be refused"))
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a legal address")
}

#[test]
fn nothing_set_means_the_defaults() {
    assert_eq!(from("", &[]).expect("legal"), Config::default());
    assert!(!Config::default().is_open());
}

#[test]
fn a_file_changes_only_what_it_says() {
    let text = "
        [listen]
        broker = \"0.0.0.0:10911\"
        http = \"off\"
        [listen.grpc]
        advertised_host = \"mq.example\"
        [replica]
        flush = \"async\"
        [store]
        retention_ms = 0
        [auth]
        enabled = false
    ";
    let config = from(text, &[]).expect("legal");
    assert_eq!(config.listen.broker.address, address("0.0.0.0:10911"));
    assert_eq!(config.listen.broker.protocols, ["remoting"]);
    assert!(!config.listen.http.enabled);
    assert_eq!(config.listen.grpc.address, address("127.0.0.1:8081"));
    assert_eq!(config.listen.grpc.advertised_host.as_deref(), Some("mq.example"));
    assert_eq!(config.replica.flush, Flush::Async);
    assert_eq!(config.store.retention_ms, None);
    assert_eq!(config.listen.namesrv, Config::default().listen.namesrv);
    assert!(config.is_open());
}

#[test]
fn the_environment_wins_over_the_file() {
    let text = "[broker]\nname = \"from-file\"\ncluster = \"c\"";
    let variables = [
        ("APOGEE_BROKER_NAME", "from-environment"),
        ("APOGEE_DATA_DIR", "/data"),
        ("APOGEE_LISTEN_NAMESRV", "127.0.0.1:1"),
        ("APOGEE_LISTEN_BROKER", "127.0.0.1:2"),
        ("APOGEE_LISTEN_GRPC", "[::1]:3"),
        ("APOGEE_LISTEN_HTTP", "off"),
        ("APOGEE_LISTEN_BROKER_ADVERTISED_HOST", "mq.example"),
        ("APOGEE_LISTEN_BROKER_ADVERTISED_PORT", "31000"),
        ("APOGEE_LISTEN_GRPC_PROTOCOLS", "grpc, remoting"),
        ("APOGEE_FLUSH", "async"),
        ("APOGEE_LOG", "info,net=debug"),
        ("APOGEE_LOG_FORMAT", "json"),
        ("APOGEE_STORE_SEGMENT_BYTES", "16777216"),
        ("APOGEE_STORE_RETENTION_BYTES", "5"),
        ("APOGEE_TLS_CERTIFICATE", "/c.pem"),
    ];
    let config = from(text, &variables).expect("legal");
    assert_eq!((config.broker.name.as_str(), config.broker.cluster.as_str()), ("from-environment", "c"));
    assert_eq!(config.data.dir, PathBuf::from("/data"));
    assert_eq!(config.listen.namesrv.address, address("127.0.0.1:1"));
    assert_eq!(config.listen.broker.address, address("127.0.0.1:2"));
    assert_eq!(config.listen.grpc.address, address("[::1]:3"));
    assert!(!config.listen.http.enabled);
    assert_eq!(config.listen.broker.advertised_host.as_deref(), Some("mq.example"));
    assert_eq!(config.listen.broker.advertised_port, Some(31_000));
    assert_eq!(config.listen.grpc.protocols, ["grpc", "remoting"]);
    assert_eq!(config.replica.flush, Flush::Async);
    assert_eq!((config.log.filter.as_str(), config.log.format), ("info,net=debug", LogFormat::Json));
    assert_eq!((config.store.segment_bytes, config.store.retention_bytes), (16 << 20, Some(5)));
    assert_eq!(config.tls.certificate, Some(PathBuf::from("/c.pem")));
}

#[test]
fn variables_of_others_are_passed_over() {
    let variables = [
        ("APOGEE_SERVER", "http://127.0.0.1:8080"),
        ("APOGEE_PORT", "tcp://10.0.0.1:8080"),
        ("APOGEE_SERVICE_HOST", "10.0.0.1"),
        ("APOGEE_BROKER_SERVICE_HOST", "10.0.0.1"),
        ("APOGEE_BROKER_SERVICE_PORT_REMOTING", "10911"),
        ("APOGEE_BROKER_PORT_10911_TCP_ADDR", "10.0.0.1"),
        ("APOGEE_BROKER_PORT", "tcp://10.0.0.1:10911"),
        ("PATH", "/bin"),
    ];
    assert_eq!(from("", &variables).expect("legal"), Config::default());
}

#[test]
fn the_command_line_wins_over_all() {
    let overrides =
        Overrides { data_dir: Some("/elsewhere".into()), bind: Some(Ipv4Addr::UNSPECIFIED.into()) };
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let variables = [variable("APOGEE_DATA_DIR", "/data"), variable("APOGEE_AUTH_ENABLED", "false")];
    let config = load(None, variables, &overrides).expect("legal");
    assert_eq!(config.data.dir, PathBuf::from("/elsewhere"));
    assert_eq!(config.listen.namesrv.address, address("0.0.0.0:9876"));
    assert!(config.is_open());
}

#[test]
fn mistakes_are_told_with_their_place() {
    let cases = [
        ("[store]\nsegment_byte = 1", "unknown field `segment_byte`"),
        ("[stor]", "unknown field `stor`"),
        ("[replica]\nflush = \"sometimes\"", "unknown variant `sometimes`"),
        ("[listen]\nbroker = \"10911\"", "`10911` is no address"),
        ("[listen.broker]\naddres = \"x\"", "unknown field `addres`"),
        ("[listen.extra.more]\naddress = \"127.0.0.1:9\"", "listen.more speaks no protocol"),
        (
            "[listen.extra.more]\naddress = \"127.0.0.1:9\"\nprotocols = [\"smtp\"]",
            "there is no protocol `smtp`",
        ),
        ("[listen]\nbroker = \"127.0.0.1:9876\"", "both listen on 127.0.0.1:9876"),
        ("[listen]\nbroker=\"off\"\nnamesrv=\"off\"\ngrpc=\"off\"\nhttp=\"off\"", "all listeners are off"),
        ("[store]\nsegment_bytes = 1", "store: segment_bytes is 1"),
        ("[net]\ndrain_ms = 1", "net.drain_ms is 1"),
        ("[listen]\nbroker = \"0.0.0.0:10911\"", "nothing is said about access control"),
        ("[auth]\ninit_user = \"root\"", "go together"),
    ];
    for (text, part) in cases {
        let told = refused(text, &[]);
        assert!(told.contains(part), "{told}\nlacks\n{part}");
    }
    assert!(refused("[net]\n\nconnections_max = \"x\"", &[]).contains("line 3"));
    let told = refused("", &[("APOGEE_STORE_SEGMENT_BITES", "1")]);
    assert!(told.contains("segment_bites") && told.contains("environment"), "{told}");
    assert!(refused("", &[("APOGEE_LISTEN_HTTP", "nowhere")]).contains("environment"));
}

#[test]
fn passwords_are_read_as_they_are_and_never_written() {
    let variables = [("APOGEE_AUTH_INIT_USER", "root"), ("APOGEE_AUTH_INIT_PASSWORD", "0123")];
    let config = from("[auth]\nenabled = true", &variables).expect("legal");
    assert_eq!((config.auth.enabled, config.auth.init_password.0.as_str()), (Some(true), "0123"));
    let written = toml::to_string(&config).expect("writable");
    assert!(!written.contains("0123") && !format!("{config:?}").contains("0123"));
}
