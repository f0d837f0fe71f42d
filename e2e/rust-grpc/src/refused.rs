//! Who does not prove who it is, or may not, is refused: with the code that says so.
use crate::clients::{message, producer, producer_as};
use crate::kit::{self, Account, Outcome};

pub async fn send() -> Outcome {
    let topic = kit::topic(1).await?;
    let (own, _) = kit::own().ok_or("nobody is asked")?;
    let strangers = [
        Some((own, "not its secret".to_owned())),
        Some(("nobody".to_owned(), "nobody-secret".to_owned())),
        Some(("disabled".to_owned(), "disabled-secret".to_owned())),
        Some(("guest".to_owned(), "guest-secret".to_owned())),
        None,
    ];
    for stranger in strangers {
        expect_refusal(stranger, &topic).await?;
    }
    producer(&topic).await?.send(message(&topic, "let through")?).await?;
    Ok(())
}

/// Its user may send to any topic but this one.
pub async fn topic() -> Outcome {
    let closed = kit::unique("closed");
    kit::operator(format!("topic {closed} NORMAL 1")).await?;
    expect_refusal(kit::own(), &closed).await
}

async fn expect_refusal(account: Option<Account>, topic: &str) -> Outcome {
    let refusal = match producer_as(account.clone(), topic).await {
        Err(refusal) => refusal,
        Ok(producer) => match producer.send(message(topic, "not to be taken")?).await {
            Err(refusal) => refusal,
            Ok(_) => return Err(format!("{account:?}: nobody minds").into()),
        },
    };
    // Its first call is the stream of settings, which has no status of its own: it ends with INVALID_ARGUMENT.
    let told = refusal.to_string();
    let of_stream = told.contains("InvalidArgument") && told.contains("telemetryCommand failed.");
    kit::expect(told.contains("UNAUTHORIZED") || of_stream, format!("no code in {told}"))
}
