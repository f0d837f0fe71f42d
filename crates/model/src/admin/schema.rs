//! JSON schemas of the catalogue's requests and responses, derived from their types: the API
//! description and the command line are made of them.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// What a request may look like.
#[must_use]
pub fn of_request<T: JsonSchema>() -> Value {
    make::<T>(settings().for_deserialize())
}

/// What a response looks like.
#[must_use]
pub fn of_response<T: JsonSchema>() -> Value {
    make::<T>(settings().for_serialize())
}

/// Each schema is whole by itself: no type here holds itself, so nothing has to be referred to.
fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    })
}

fn make<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Value::Object(fields) = &mut schema {
        fields.remove("title");
    }
    schema
}
