"""The filters for studies of therapies of Haynes et al. 2005 (BMJ 330:1179), as PubMed's Clinical Queries run them."""

FILTERS = {
    "therapy-narrow": (
        "(randomized controlled trial[Publication Type] OR (randomized[Title/Abstract] AND controlled[Title/Abstract] "
        "AND trial[Title/Abstract]))"
    ),
    "therapy-broad": (
        "((clinical[Title/Abstract] AND trial[Title/Abstract]) OR clinical trials[MeSH Terms] OR "
        "clinical trial[Publication Type] OR random*[Title/Abstract] OR random allocation[MeSH Terms] OR "
        "therapeutic use[MeSH Subheading])"
    ),
}
