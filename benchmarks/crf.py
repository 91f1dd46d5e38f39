"""How much faster is our CRF than pytorch-crf 0.7.2: loss with gradient, and Viterbi, at B=16, T=256, K=89?"""

import torch
from report import arguments, finish, interleaved
from torchcrf import CRF

from modeling_clinx.crf_clinx import ClinXCRF


def main():
    parser = arguments(__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--types", type=int, default=22, help="entity types; K = 1 + 4 types")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ours = ClinXCRF(args.types, "BIOSE")
    n_tags = len(ours.tags)
    theirs = CRF(n_tags, batch_first=True)
    with torch.no_grad():
        for parameter in (*ours.parameters(), *theirs.parameters()):
            parameter.uniform_(-0.1, 0.1)
    ours, theirs = ours.to(args.device), theirs.to(args.device)
    shape = (args.batch, args.steps)
    emissions = torch.randn(*shape, n_tags, device=args.device, requires_grad=True)
    mask = torch.ones(shape, dtype=torch.bool, device=args.device)
    edges = torch.ones(args.batch, 2, dtype=torch.bool, device=args.device)
    lengths = mask.sum(1)
    labels = (torch.rand(shape, device=args.device) < 0.2).long() * (
        1 + 2 * torch.randint(args.types, shape).to(mask.device)
    )
    tags = torch.randint(n_tags, shape, device=args.device)

    def our_loss():
        ours(emissions, mask, edges, labels)[0].backward()

    def their_loss():
        (-theirs(emissions, tags, mask=mask)).backward()

    def our_decode():
        ours.decode(emissions, lengths, edges)

    @torch.no_grad()
    def their_decode():
        theirs.decode(emissions, mask)

    loss = interleaved({"ours": our_loss, "pytorch-crf": their_loss}, args.repeats, args.device)
    decode = interleaved({"ours": our_decode, "pytorch-crf": their_decode}, args.repeats, args.device)
    result = {
        "loss_and_gradient_ms": {name: round(1e3 * value, 2) for name, value in loss.items()},
        "loss_and_gradient_ratio": round(loss["pytorch-crf"] / loss["ours"], 2),
        "viterbi_ms": {name: round(1e3 * value, 2) for name, value in decode.items()},
        "viterbi_ratio": round(decode["pytorch-crf"] / decode["ours"], 2),
        "shape": [*shape, n_tags],
    }
    rows = [
        (
            f"{what}, B={shape[0]} T={shape[1]} K={n_tags}",
            f"{1e3 * t['ours']:.1f} ms, pytorch-crf {1e3 * t['pytorch-crf']:.1f} ms: "
            f"{t['pytorch-crf'] / t['ours']:.1f} times faster",
        )
        for what, t in (("loss + gradient", loss), ("Viterbi", decode))
    ]
    finish("crf", result, rows, args.out, args.device)


if __name__ == "__main__":
    main()
