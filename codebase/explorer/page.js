// What the page begins with.

document.title = `${content.name} — explorer`;
$("title").textContent = content.name;
const size = Z ? `, z = ${Z}` : ", the classifier alone";
$("about").textContent = `${content.kind}${size}, after ${content.step.toLocaleString("en")} iterations on ${content.data}`;
$("latent").hidden = !nets.decode;
prepareImage();
if (nets.decode) prepareLatent();
