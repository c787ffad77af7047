from vocab.byte import ByteTokenizer
from vocab.special import SPECIAL_TOKENS
