//! Compiles the wire definitions to Rust, without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["apache/rocketmq/v2/service.proto"], ["proto"])?;
    // Calls are bound to their handlers in `service`; the client is for tools and tests.
    // Bodies stay slices of the received frame instead of being copied.
    tonic_prost_build::configure()
        .build_server(false)
        .bytes(".apache.rocketmq.v2.Message.body")
        .compile_fds(descriptors)?;
    Ok(())
}
