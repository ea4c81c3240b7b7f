// How to make an image again from a terminal or a program.

/** The lines for a shell. */
export function curlOf(body, name, withKey) {
  return [
    `curl -X POST ${address()} \\`,
    withKey ? "  -H \"authorization: Bearer $KEY\" \\" : null,
    "  -H 'content-type: application/json' -H 'accept: image/png' \\",
    `  -d '${JSON.stringify(body)}' -o ${name}`,
  ].filter((line) => line !== null).join("\n");
}

/** The lines for Python, with nothing to install. */
export function pythonOf(body, name, withKey) {
  const key = withKey ? ', "Authorization": f"Bearer {key}"' : "";
  return [
    "import json, pathlib, urllib.request",
    "",
    "request = urllib.request.Request(",
    `    "${address()}",`,
    `    data=json.dumps(${JSON.stringify(body)}).encode(),`,
    `    headers={"Content-Type": "application/json", "Accept": "image/png"${key}},`,
    ")",
    `pathlib.Path("${name}").write_bytes(urllib.request.urlopen(request).read())`,
  ].join("\n");
}

function address() {
  return new URL("generate", document.baseURI).href.replace(/#.*/, "");
}
