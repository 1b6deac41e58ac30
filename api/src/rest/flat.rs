//! Schemas that code generators understand. An object that is one of several, alone or mixed into
//! another, is more than many of them can do.

use std::collections::BTreeMap;

use utoipa::openapi::{
    Object, OpenApi, RefOr, Schema,
    schema::{SchemaType, Type},
};

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Makes one object of each schema with alternatives: it has the members of all of them, and requires only
/// those that all of them require. What excludes what is said in the descriptions.
pub(super) fn flatten(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let known: Schemas = components.schemas.clone();
    for schema in components.schemas.values_mut() {
        if !has_alternatives(schema, &known) {
            continue;
        }
        let (description, examples) = match schema {
            RefOr::T(Schema::AllOf(all)) => (all.description.clone(), all.examples.clone()),
            RefOr::T(Schema::OneOf(one)) => (one.description.clone(), one.examples.clone()),
            _ => continue,
        };
        if let Some(mut flat) = members(schema, &known) {
            (flat.description, flat.examples) = (description, examples);
            *schema = RefOr::T(Schema::Object(flat));
        }
    }
}

fn has_alternatives(schema: &RefOr<Schema>, known: &Schemas) -> bool {
    match resolve(schema, known) {
        Some(Schema::OneOf(_)) => true,
        Some(Schema::AllOf(all_of)) => {
            all_of.items.iter().any(|part| has_alternatives(part, known))
        }
        _ => false,
    }
}

fn resolve<'a>(schema: &'a RefOr<Schema>, known: &'a Schemas) -> Option<&'a Schema> {
    match schema {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(reference) => {
            let (_, name) = reference.ref_location.rsplit_once('/')?;
            resolve(known.get(name)?, known)
        }
    }
}

/// The members of a schema of objects.
fn members(schema: &RefOr<Schema>, known: &Schemas) -> Option<Object> {
    match resolve(schema, known)? {
        Schema::Object(object) => Some(object.clone()),
        Schema::AllOf(all_of) => {
            let parts = all_of.items.iter().map(|part| members(part, known));
            parts.reduce(|all, part| Some(joined(&all?, &part?, |one, other| one || other)))?
        }
        Schema::OneOf(one_of) => {
            let parts = one_of.items.iter().map(|part| members(part, known));
            parts.reduce(|all, part| Some(joined(&all?, &part?, |one, other| one && other)))?
        }
        _ => None,
    }
}

/// An object with the members of both; `required` says which have to be there, from whether they do in
/// each. Where both have a member, the first describes it.
fn joined(one: &Object, other: &Object, required: impl Fn(bool, bool) -> bool) -> Object {
    let mut joined = Object::with_type(SchemaType::new(Type::Object));
    for (name, member) in one.properties.iter().chain(&other.properties) {
        if joined.properties.contains_key(name) {
            continue;
        }
        joined.properties.insert(name.clone(), member.clone());
        if required(one.required.contains(name), other.required.contains(name)) {
            joined.required.push(name.clone());
        }
    }
    joined
}
