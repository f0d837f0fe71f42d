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
    out += match (config.is_open(), config.auth.enabled.unwrap_or_default()) {
        (true, true) => "\nOther machines can connect, and must prove who they are.\n",
        (true, false) => {
            "\nOther machines can connect, and access control is off: keep this in a trusted network.\n"
        }
        (false, true) => "\nOnly this machine can connect, and must prove who it is.\n",
        (false, false) => "\nOnly this machine can connect. To let others in, see docs/access-control.md.\n",
    };
    out
}
