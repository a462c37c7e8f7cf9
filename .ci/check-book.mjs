// Checks a built book: `node check-book.mjs DIRECTORY`.
//
// Every link and picture must lead to something that exists, anchors included, and the book's own search must find the
// page that answers each common question among its first three results.
import fs from "node:fs";
import path from "node:path";
import vm from "node:vm";

// What people ask, in words that they would type, and the page that answers it.
const QUESTIONS = [
    ["save only the changed layers", "guide/only-new-layers.html"],
    ["delta between two images for offline servers", "guide/only-new-layers.html"],
    ["combine several images into one tar", "guide/several-images.html"],
    ["give a tag to an archive saved by ID", "guide/several-images.html"],
    ["import loses CMD and ENV", "guide/recover-config.html"],
    ["No command specified", "guide/recover-config.html"],
    ["import platform architecture wrong", "guide/recover-config.html"],
    ["copy a file out of an image without a container", "guide/get-a-file.html"],
    ["list the files of an image", "guide/look.html"],
    ["docker images --tree", "guide/look.html"],
    ["invalid diffID for layer", "guide/before-a-transfer.html"],
    ["check an archive before load", "guide/before-a-transfer.html"],
    ["more than one image in oci, choose an image", "guide/repair.html"],
    ["flatten an image without docker", "guide/save-and-export.html"],
    ["Dockerfile from an image", "dockerfile.html"],
    ["history step without a layer", "guide/how-it-was-built.html"],
    ["which files waste space", "guide/save-space.html"],
    ["docker host died", "rescue.html"],
    ["exit codes and JSON for scripts", "guide/scripts.html"],
    ["python module", "python.html"],
    ["verify a folder of archives", "fleet.html"],
];

const book = process.argv[2];
const problems = [];

const pages = fs.readdirSync(book, { recursive: true })
    .filter((file) => file.endsWith(".html") && !["404.html", "print.html", "toc.html"].includes(file));
const texts = new Map(pages.map((page) => [page, fs.readFileSync(path.join(book, page), "utf8")]));
const anchors = new Map([...texts].map(([page, text]) => [
    page,
    new Set([...text.matchAll(/\sid="([^"]+)"/g)].map((found) => found[1])),
]));

let links = 0;
for (const [page, text] of texts) {
    const main = text.match(/<main>([\s\S]*?)<\/main>/)?.[1] ?? "";
    for (const [, url] of main.matchAll(/\s(?:href|src)="([^"]*)"/g)) {
        if (/^[a-z]+:/.test(url)) continue;
        links += 1;
        const [file, anchor] = url.replaceAll("&amp;", "&").split("#");
        const target = file === "" ? page : path.join(path.dirname(page), decodeURI(file));
        if (!fs.existsSync(path.join(book, target)) || fs.statSync(path.join(book, target)).isDirectory()) {
            problems.push(`${page}: ${url} leads nowhere`);
        } else if (anchor && !anchors.get(target)?.has(decodeURIComponent(anchor))) {
            problems.push(`${page}: ${url}: there is no such heading`);
        }
    }
}

// The search as the page does it: elasticlunr with the index and the options that mdbook wrote.
const [lunr, index] = ["elasticlunr-", "searchindex-"].map((start) =>
    fs.readFileSync(path.join(book, fs.readdirSync(book).find((file) => file.startsWith(start))), "utf8"));
const context = { search: {} };
context.window = context;
vm.createContext(context);
vm.runInContext(lunr, context);
vm.runInContext(index, context);
const search = context.search;
const engine = context.elasticlunr.Index.load(search.index);
for (const [question, answer] of QUESTIONS) {
    const urls = engine.search(question, search.search_options).map((result) => search.doc_urls[result.ref].split("#")[0]);
    const first = [...new Set(urls)].slice(0, 3);
    if (!first.includes(answer)) {
        problems.push(`search for “${question}”: ${answer} is not among the first three pages, ${first.join(", ")}`);
    }
}

for (const problem of problems) console.error(problem);
console.log(`${pages.length} pages, ${links} links, ${QUESTIONS.length} questions: ${problems.length} problems`);
process.exit(problems.length === 0 && pages.length > 30 && links > 100 ? 0 : 1);
