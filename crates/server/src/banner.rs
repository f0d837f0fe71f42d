//! What a person reads after a start.

use std::time::Duration;

use crate::config::Config;
use crate::wiring::Node;

/// The endpoints, and what to try.
pub(crate) fn text(node: &Node, config: &Config, took: Duration, ephemeral: bool) -> String {
    let mut out = format!("Apogee {} is ready after {} ms.\n\n", env!("CARGO_PKG_VERSION"), took.as_millis());
    for bound in node.bound() {
        let (what, scheme) = match bound.name.as_str() {
            "namesrv" => ("RocketMQ 4.x clients, name server", ""),
            "broker" => ("RocketMQ 4.x clients, broker", ""),
            "grpc" => ("RocketMQ 5.x clients, endpoints", ""),
            "http" => ("HTTP: health, metrics, administration", "http://"),
            other => (other, ""),
        };
        out += &format!("  {what:<40}{scheme}{}\n", bound.address);
    }
    let kept = if ephemeral { " (removed at the end)" } else { "" };
    out += &format!("  {:<40}{}{kept}\n", "data", config.data.dir.display());
    out += "\nTry, in another terminal:\n  \
            apogee topic create demo\n  \
            apogee send demo --body hello\n  \
            apogee receive demo --group readers --ack\n";
    out += if config.is_open() {
        "\nOther machines can connect, and there is no authentication: keep this in a trusted network.\n"
    } else {
        "\nOnly this machine can connect. `apogee --bind 0.0.0.0` lets others in, without authentication.\n"
    };
    out
}
