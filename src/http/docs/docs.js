// Shows /openapi.json. Text goes in as text only, so nothing in the document can become markup.
"use strict";

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}

// Paragraphs and `code` are all the Markdown that the document uses.
function prose(text) {
  const box = el("div");
  for (const part of (text || "").split(/\n\n+/)) {
    if (!part) continue;
    const p = el("p");
    part.split("`").forEach((piece, i) => p.append(i % 2 ? el("code", null, piece) : piece));
    box.append(p);
  }
  return box;
}

function typeOf(schema) {
  if (!schema) return "any";
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return el("a", { href: "#schema-" + name }, name);
  }
  const choices = schema.oneOf || schema.anyOf || schema.allOf;
  if (choices) {
    const box = el("span");
    choices.forEach((choice, i) => box.append(i ? " or " : "", typeOf(choice)));
    return box;
  }
  if (schema.type === "array" || (Array.isArray(schema.type) && schema.type.includes("array"))) {
    return el("span", null, "array of ", typeOf(schema.items));
  }
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type || "any";
  if (schema.type === "object" && schema.additionalProperties && schema.additionalProperties.type) {
    return "object of " + schema.additionalProperties.type;
  }
  return schema.format ? type + " (" + schema.format + ")" : type;
}

function rules(schema) {
  const out = [];
  if (schema.enum) out.push("one of " + schema.enum.join(", "));
  if (schema.pattern) out.push("matches " + schema.pattern);
  for (const [key, word] of [["minimum", "at least"], ["maximum", "at most"], ["minLength", "length from"], ["maxLength", "length to"]]) {
    if (schema[key] !== undefined) out.push(word + " " + schema[key]);
  }
  return out.join("; ");
}

function fields(schema) {
  const properties = Object.entries(schema.properties || {});
  if (!properties.length) return el("p", null, typeOf(schema), " ", rules(schema));
  const body = el("tbody");
  for (const [name, property] of properties) {
    const required = (schema.required || []).includes(name) ? "" : " (optional)";
    const about = prose(property.description);
    const rule = rules(property);
    if (rule) about.append(el("p", { class: "soft" }, rule));
    body.append(el("tr", null, el("td", null, el("code", null, name)), el("td", null, typeOf(property), required), el("td", null, about)));
  }
  return el("table", null, el("thead", null, el("tr", null, el("th", null, "Field"), el("th", null, "Type"), el("th", null, "Meaning"))), body);
}

function parameters(list) {
  const body = el("tbody");
  for (const p of list) {
    body.append(el("tr", null, el("td", null, el("code", null, p.name)), el("td", null, p.in), el("td", null, prose(p.description))));
  }
  return el("table", null, el("thead", null, el("tr", null, el("th", null, "Parameter"), el("th", null, "In"), el("th", null, "Meaning"))), body);
}

function contents(content) {
  const box = el("span");
  Object.entries(content || {}).forEach(([media, value], i) => {
    box.append(i ? "; " : "", el("code", null, media), " ", value.schema ? typeOf(value.schema) : "");
  });
  return box;
}

function responses(all) {
  const body = el("tbody");
  for (const [status, response] of Object.entries(all)) {
    body.append(el("tr", null, el("td", null, status), el("td", null, response.description || ""), el("td", null, contents(response.content))));
  }
  return el("table", null, el("thead", null, el("tr", null, el("th", null, "Status"), el("th", null, "Meaning"), el("th", null, "Body"))), body);
}

function curl(method, path, operation) {
  const lines = ["curl" + (method === "get" ? "" : " -X " + method.toUpperCase()) + " \"$WINDLASS_URL" + path + "\""];
  const open = operation.security && operation.security.some((s) => !Object.keys(s).length);
  if (!open) lines.push("  -H \"Authorization: Bearer $WINDLASS_API_KEY\"");
  if (operation.requestBody && operation.requestBody.required) lines.push("  -H 'Content-Type: application/json' -d '{…}'");
  return el("pre", null, lines.join(" \\\n"));
}

function operationSection(method, path, operation) {
  const section = el("section", { id: operation.operationId });
  section.append(el("h3", null, el("span", { class: "method" }, method.toUpperCase()), " ", el("code", null, path)));
  section.append(el("p", null, el("strong", null, operation.summary || "")), prose(operation.description));
  section.append(curl(method, path, operation));
  if ((operation.parameters || []).length) section.append(parameters(operation.parameters));
  if (operation.requestBody) section.append(el("p", null, "Body: ", contents(operation.requestBody.content)));
  section.append(responses(operation.responses));
  return section;
}

function errorCodes(problem) {
  const section = el("section", { id: "errors" }, el("h2", null, "Error codes"));
  const codes = (((problem || {}).properties || {}).code || {}).enum || [];
  section.append(el("p", null, "The status belongs to the code; codes are never renamed."));
  const list = el("ul");
  for (const code of codes) list.append(el("li", { id: "error-" + code }, el("code", null, code)));
  section.append(list);
  return section;
}

function show(spec) {
  const nav = document.getElementById("nav");
  const main = document.getElementById("main");
  main.replaceChildren(el("h1", null, spec.info.title + " API " + spec.info.version), prose(spec.info.description));
  for (const tag of spec.tags || []) {
    nav.append(el("h2", null, tag.name));
    main.append(el("h2", null, tag.name), prose(tag.description));
    for (const [path, item] of Object.entries(spec.paths)) {
      for (const method of ["get", "post", "put", "delete"]) {
        const operation = item[method];
        if (!operation || !(operation.tags || []).includes(tag.name)) continue;
        nav.append(el("a", { href: "#" + operation.operationId }, el("span", { class: "method" }, method.toUpperCase()), " ", path));
        main.append(operationSection(method, path, operation));
      }
    }
  }
  const schemas = (spec.components || {}).schemas || {};
  nav.append(el("h2", null, "documents"));
  main.append(el("h2", null, "Documents"));
  for (const [name, schema] of Object.entries(schemas)) {
    nav.append(el("a", { href: "#schema-" + name }, name));
    main.append(el("section", { id: "schema-" + name }, el("h3", null, name), prose(schema.description), fields(schema)));
  }
  nav.append(el("a", { href: "#errors" }, "Error codes"));
  main.append(errorCodes(schemas.Problem));
  if (location.hash) location.replace(location.hash);
}

fetch("/openapi.json")
  .then((response) => response.json())
  .then(show)
  .catch((error) => document.getElementById("main").replaceChildren(el("p", null, "openapi.json could not be shown: " + error)));
